//! What the reactor relies on of tokio-uring and the kernel, kept as tests: a new version that
//! behaves otherwise fails here, not in production.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream as Peer};
use std::rc::Rc;
use std::time::Duration;

use super::{Epoll, Kick, Reactor, SocketOptions, Stream, Uring, uring};

/// A connected pair: the reactor's end, and a plain one on this thread.
async fn pair<R: Reactor>(reactor: R) -> (R::Stream, Peer) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = SocketOptions { user_timeout: Duration::from_secs(2) };
    let stream = reactor.connect("127.0.0.1", port, options).await.unwrap();
    (stream, listener.accept().unwrap().0)
}

fn on_both<F: AsyncFn(Backend)>(probe: F) {
    uring::runtime().unwrap().block_on(probe(Backend::Uring));
    let epoll = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&epoll, probe(Backend::Epoll));
}

#[derive(Clone, Copy, Debug)]
enum Backend {
    Uring,
    Epoll,
}

async fn bytes_pass<R: Reactor>(reactor: R) {
    let (stream, mut peer) = pair(reactor).await;
    let (done, buffer) = stream.write(b"..hello..".to_vec(), 2..7).await;
    assert_eq!((done.unwrap(), &buffer[..]), (5, &b"..hello.."[..]));
    let shared = bytes::Bytes::from_static(b"-world-");
    let (done, _) = stream.write_shared(shared, 1..6).await;
    assert_eq!(done.unwrap(), 5);
    let mut seen = [0; 10];
    peer.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"helloworld");
    peer.write_all(b"answer").unwrap();
    let (done, block) = stream.read(vec![0; 64]).await;
    assert_eq!(&block[..done.unwrap()], b"answer");
    // A block that was used before is written from its start again.
    peer.write_all(b"more").unwrap();
    let (done, block) = stream.read(block).await;
    assert_eq!(&block[..done.unwrap()], b"more");
    assert_eq!(block.len(), 64);
}

#[test]
fn bytes_pass_both_ways_in_owned_buffers() {
    on_both(async |backend| match backend {
        Backend::Uring => bytes_pass(Uring).await,
        Backend::Epoll => bytes_pass(Epoll).await,
    });
}

async fn shutdown_ends_a_read<R: Reactor>(reactor: R) {
    let (stream, mut peer) = pair(reactor).await;
    let stream = Rc::new(stream);
    let ended = Rc::new(Cell::new(false));
    let reading = super::spawn({
        let (stream, ended) = (Rc::clone(&stream), Rc::clone(&ended));
        async move {
            let (done, _) = stream.read(vec![0; 64]).await;
            assert!(matches!(done, Ok(0) | Err(_)));
            ended.set(true);
        }
    });
    super::sleep(Duration::from_millis(20)).await;
    assert!(!ended.get(), "the read waits");
    stream.shutdown();
    super::within(Duration::from_secs(5), reading).await.unwrap().unwrap();
    assert!(ended.get());
    let mut end = [0; 1];
    assert_eq!(peer.read(&mut end).unwrap(), 0, "the peer sees the end");
}

#[test]
fn shutdown_completes_a_pending_read() {
    on_both(async |backend| match backend {
        Backend::Uring => shutdown_ends_a_read(Uring).await,
        Backend::Epoll => shutdown_ends_a_read(Epoll).await,
    });
}

async fn kicking_moves_io<R: Reactor>(reactor: R) {
    let (stream, mut peer) = pair(reactor).await;
    let turns = Rc::new(Cell::new(0_u64));
    let kicking = super::spawn({
        let turns = Rc::clone(&turns);
        async move {
            let kick = Kick::new().unwrap();
            loop {
                kick.turn().await.unwrap();
                turns.set(turns.get() + 1);
            }
        }
    });
    for round in 0..100_u8 {
        peer.write_all(&[round]).unwrap();
        let (done, block) = stream.read(vec![0; 8]).await;
        assert_eq!((done.unwrap(), block[0]), (1, round));
    }
    let before = turns.get();
    super::sleep(Duration::from_millis(20)).await;
    kicking.abort();
    assert!(turns.get() > before + 20, "a sleeping thread would have made one turn");
}

#[test]
fn busy_polling_through_the_eventfd_lets_io_move() {
    on_both(async |backend| match backend {
        Backend::Uring => kicking_moves_io(Uring).await,
        Backend::Epoll => kicking_moves_io(Epoll).await,
    });
}

async fn a_flood_yields<R: Reactor>(reactor: R) {
    let (stream, mut peer) = pair(reactor).await;
    // Who floods a socket that nobody reads gives up by itself.
    peer.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let flood = std::thread::spawn(move || while peer.write_all(&[7; 65_536]).is_ok() {});
    let stream = Rc::new(stream);
    let reading = super::spawn({
        let stream = Rc::clone(&stream);
        async move {
            let mut block = vec![0; 1024];
            loop {
                let (done, back) = stream.read(block).await;
                if !matches!(done, Ok(1..)) {
                    break;
                }
                block = back;
            }
        }
    });
    // Other tasks get their turns, however fast the flood.
    for _ in 0..20 {
        super::sleep(Duration::from_millis(1)).await;
    }
    stream.shutdown();
    super::within(Duration::from_secs(5), reading).await.unwrap().unwrap();
    drop(stream);
    flood.join().unwrap();
}

#[test]
fn a_socket_that_always_has_data_starves_nobody() {
    on_both(async |backend| match backend {
        Backend::Uring => a_flood_yields(Uring).await,
        Backend::Epoll => a_flood_yields(Epoll).await,
    });
}
