//! Tests of what the reactor relies on in tokio, tokio-uring and the kernel. A new version that
//! behaves differently fails here and not in production.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream as Peer};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use crate::reactor::connect::SocketOptions;
use crate::reactor::epoll::Epoll;
use crate::reactor::uring::Uring;
use crate::reactor::{AfterWrite, Reactor, Stream, uring};

/// Connects a pair: the reactor's end, and a plain one on this thread.
async fn pair<R: Reactor>(reactor: R) -> (R::Stream, Peer) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let limit = Duration::from_secs(2);
    let options =
        SocketOptions { tcp_user_timeout: limit, resolve_timeout: limit, connect_timeout: limit };
    let stream = reactor.connect("127.0.0.1", port, options).await.unwrap();
    (stream, listener.accept().unwrap().0)
}

fn on_both<F: AsyncFn(Backend)>(probe: F) {
    // Kernels before 6.1 have a ring without flags.
    for ring in [uring::Ring::new(), uring::Ring::without_flags()] {
        let uring = uring::Runtime::on(ring.unwrap()).unwrap();
        uring.block_on(|reactor| probe(Backend::Uring(reactor))).unwrap();
    }
    let epoll = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&epoll, probe(Backend::Epoll(Epoll::default())));
}

enum Backend {
    Uring(Uring),
    Epoll(Epoll),
}

async fn bytes_pass<R: Reactor>(reactor: R) {
    let (stream, mut peer) = pair(reactor).await;
    let (done, buffer) = stream.write(b"..hello..".to_vec(), 2..7, AfterWrite::Continues).await;
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
    // A block that was used before is filled from its start again.
    peer.write_all(b"more").unwrap();
    let (done, block) = stream.read(block).await;
    assert_eq!(&block[..done.unwrap()], b"more");
    assert_eq!(block.len(), 64);
}

#[test]
fn bytes_are_sent_and_received_in_owned_buffers() {
    on_both(async |backend| match backend {
        Backend::Uring(reactor) => bytes_pass(reactor).await,
        Backend::Epoll(reactor) => bytes_pass(reactor).await,
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
        Backend::Uring(reactor) => shutdown_ends_a_read(reactor).await,
        Backend::Epoll(reactor) => shutdown_ends_a_read(reactor).await,
    });
}

async fn polling_moves_io<R: Reactor>(reactor: R) {
    let (stream, mut peer) = pair(reactor.clone()).await;
    let polls = Rc::new(Cell::new(0_u64));
    let polling = super::spawn({
        let polls = Rc::clone(&polls);
        async move {
            loop {
                reactor.poll_io().await.unwrap();
                polls.set(polls.get() + 1);
            }
        }
    });
    for round in 0..100_u8 {
        peer.write_all(&[round]).unwrap();
        let (done, block) = stream.read(vec![0; 8]).await;
        assert_eq!((done.unwrap(), block[0]), (1, round));
    }
    let before = polls.get();
    super::sleep(Duration::from_millis(20)).await;
    polling.abort();
    assert!(polls.get() > before + 20, "a sleeping thread would have polled once");
}

#[test]
fn busy_polling_does_not_stop_io() {
    on_both(async |backend| match backend {
        Backend::Uring(reactor) => polling_moves_io(reactor).await,
        Backend::Epoll(reactor) => polling_moves_io(reactor).await,
    });
}

async fn a_flood_yields<R: Reactor>(reactor: R) {
    let (stream, mut peer) = pair(reactor).await;
    // The flooding thread gives up by itself once no one reads its socket.
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
    // Other tasks run, however fast the flood.
    for _ in 0..20 {
        super::sleep(Duration::from_millis(1)).await;
    }
    stream.shutdown();
    super::within(Duration::from_secs(5), reading).await.unwrap().unwrap();
    drop(stream);
    flood.join().unwrap();
}

#[test]
fn a_socket_that_always_has_data_does_not_starve_other_tasks() {
    on_both(async |backend| match backend {
        Backend::Uring(reactor) => a_flood_yields(reactor).await,
        Backend::Epoll(reactor) => a_flood_yields(reactor).await,
    });
}

async fn a_dropped_read_keeps_its_bytes(reactor: Uring) {
    let (stream, mut peer) = pair(reactor).await;
    {
        let mut read = std::pin::pin!(stream.read(vec![0; 64]));
        let polled = std::future::poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
    }
    peer.write_all(b"lost").unwrap();
    super::sleep(Duration::from_millis(20)).await;
    peer.write_all(b"found").unwrap();
    let (done, block) = stream.read(vec![0; 64]).await;
    assert_eq!(&block[..done.unwrap()], b"found", "why no read is ever raced or dropped");
}

#[test]
fn a_dropped_read_loses_its_data() {
    let uring = uring::Runtime::new().unwrap();
    uring.block_on(a_dropped_read_keeps_its_bytes).unwrap();
}

/// Bytes that record when they are freed.
struct Traced(Vec<u8>, Arc<AtomicBool>);

impl AsRef<[u8]> for Traced {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

/// Starts a send to a peer that does not read, and drops its future.
async fn orphan(stream: &impl Stream, freed: &Arc<AtomicBool>) {
    let body = Bytes::from_owner(Traced(vec![7; 16 << 20], Arc::clone(freed)));
    let mut at = 0;
    loop {
        let mut send = std::pin::pin!(stream.write_shared(body.clone(), at..body.len()));
        let sent = super::within(Duration::from_millis(100), &mut send).await;
        match sent {
            Some((done, _)) => at += done.unwrap(),
            None => return,
        }
    }
}

#[test]
fn the_kernel_keeps_a_buffer_whose_future_is_dropped() {
    let uring = uring::Runtime::new().unwrap();
    let freed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&freed);
    let probe = async move |reactor: Uring| {
        let (stream, _peer) = pair(reactor.clone()).await;
        orphan(&stream, &freed).await;
        super::sleep(Duration::from_millis(20)).await;
        assert!(!freed.load(Ordering::SeqCst), "still to be sent");
        stream.shutdown();
        super::sleep(Duration::from_millis(50)).await;
        assert!(freed.load(Ordering::SeqCst), "its completion was seen");
        freed.store(false, Ordering::SeqCst);
        let (stream, peer) = pair(reactor).await;
        orphan(&stream, &freed).await;
        peer
    };
    let peer = uring.block_on(probe).unwrap();
    drop(uring);
    assert!(seen.load(Ordering::SeqCst), "a ring ends its operations before it goes");
    drop(peer);
}

async fn wakes_come_through(reactor: impl Reactor) {
    const ROUNDS: u64 = 20_000;
    let (stream, mut peer) = pair(reactor).await;
    let (bell, count) = (Arc::new(tokio::sync::Notify::new()), Arc::new(AtomicU64::new(0)));
    let ringing = std::thread::spawn({
        let (bell, count) = (Arc::clone(&bell), Arc::clone(&count));
        move || {
            for round in 1..=ROUNDS {
                bell.notify_one();
                while count.load(Ordering::SeqCst) < round {
                    std::hint::spin_loop();
                    std::thread::yield_now();
                }
                match round % 1000 {
                    // The shard has gone to sleep in tokio in the meantime, and gets traffic again.
                    0 => std::thread::sleep(Duration::from_millis(4)),
                    500 => peer.write_all(b"x").unwrap(),
                    _ => {}
                }
            }
            peer
        }
    });
    let stream = Rc::new(stream);
    let reading = super::spawn({
        let stream = Rc::clone(&stream);
        async move { while matches!(stream.read(vec![0; 8]).await.0, Ok(1..)) {} }
    });
    for _ in 0..ROUNDS {
        let woken = super::within(Duration::from_secs(20), bell.notified()).await;
        woken.expect("no wake-up is lost");
        count.fetch_add(1, Ordering::SeqCst);
    }
    drop(ringing.join().unwrap());
    reading.await.unwrap();
}

#[test]
fn no_wake_up_from_another_thread_is_lost() {
    on_both(async |backend| match backend {
        Backend::Uring(reactor) => wakes_come_through(reactor).await,
        Backend::Epoll(reactor) => wakes_come_through(reactor).await,
    });
}
