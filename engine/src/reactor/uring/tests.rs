//! Tests of the ring that need its operations.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::reactor::uring::ring::{Buffer, File, Operation, Ring, SendWait};

/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(60);

fn pair() -> (File, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (File::Socket(Rc::new(ours)), listener.accept().unwrap().0)
}

/// A socket whose peer does not read, without room to send.
fn full() -> (File, TcpStream) {
    let (file, peer) = pair();
    let File::Socket(socket) = &file else { unreachable!("a pair is of sockets") };
    socket.set_nonblocking(true).unwrap();
    let block = [0; 1 << 16];
    let error = loop {
        if let Err(error) = (&**socket).write(&block) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    socket.set_nonblocking(false).unwrap();
    (file, peer)
}

fn poll(operation: &mut Operation) -> Poll<std::io::Result<usize>> {
    let mut cx = Context::from_waker(Waker::noop());
    std::pin::pin!(operation).poll(&mut cx).map(|(done, _)| done)
}

fn send(ring: &Rc<Ring>, file: &File, wait: SendWait) -> Operation {
    ring.send(file.clone(), Buffer::Owned(vec![7; 100]), 0..100, wait)
}

fn receive(ring: &Rc<Ring>, file: &File) -> Operation {
    ring.receive(file.clone(), vec![0; 100])
}

fn on_both(test: impl Fn(&Rc<Ring>)) {
    for ring in [Ring::new(), Ring::without_flags()] {
        test(&Rc::new(ring.unwrap()));
    }
}

/// One system call sends, and waits for what the peer sends in return.
#[test]
fn a_prompt_send_does_not_end_a_wait() {
    on_both(|ring| {
        let (file, mut peer) = pair();
        let echoing = std::thread::spawn(move || {
            let mut request = [0; 100];
            peer.read_exact(&mut request).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            peer.write_all(&request[..10]).unwrap();
            peer
        });
        ring.set_alarm(NEVER);
        let mut received = receive(ring, &file);
        let mut sent = send(ring, &file, SendWait::Never);
        ring.enter(true);
        assert_eq!(ring.reap(), 2, "both have completed");
        assert!(matches!(poll(&mut sent), Poll::Ready(Ok(100))));
        assert!(matches!(poll(&mut received), Poll::Ready(Ok(10))));
        drop(echoing.join().unwrap());
    });
}

/// If a prompt send waited for room, the wait would need one completion more, and so hang.
#[test]
fn a_full_socket_delays_no_other_one() {
    on_both(|ring| {
        let (full, silent) = full();
        let (file, mut peer) = pair();
        let writing = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            peer.write_all(&[1]).unwrap();
            peer
        });
        ring.set_alarm(NEVER);
        let mut received = receive(ring, &file);
        let mut refused = send(ring, &full, SendWait::Never);
        // Another one waits for room, and does not count.
        let mut waiting = send(ring, &full, SendWait::ForRoom);
        ring.enter(true);
        assert_eq!(ring.reap(), 2);
        let Poll::Ready(Err(error)) = poll(&mut refused) else { panic!("there is no room") };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(matches!(poll(&mut received), Poll::Ready(Ok(1))));
        assert!(poll(&mut waiting).is_pending());
        drop((writing.join().unwrap(), silent));
    });
}

/// The alarm bounds each wait that expects more than one completion.
#[test]
fn without_an_alarm_any_completion_ends_a_wait() {
    on_both(|ring| {
        let (file, _peer) = pair();
        let mut sent = send(ring, &file, SendWait::Never);
        ring.enter(true);
        assert_eq!(ring.reap(), 1);
        assert!(matches!(poll(&mut sent), Poll::Ready(Ok(100))));
    });
}
