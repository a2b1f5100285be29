//! The reactor in memory: no kernel, a virtual clock, and network faults that a seed decides.
//!
//! Runs on tokio's current-thread runtime with its clock paused, so a stall of seconds costs
//! nothing and a seed repeats a run. Reads and writes are short, stall, and are cut off in the
//! middle. Checked invariant: one read and one write in flight per socket, none dropped unfinished.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

use crate::reactor::connect::SocketOptions;
use crate::reactor::{AfterWrite, Completion, Reactor, Stream};

/// Bytes that a peer's kernel buffers before writes wait.
const WINDOW: usize = 64 << 10;

/// Faults of the simulated network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// Percentage of attempts to connect that fail.
    pub(crate) refused_percent: u8,
    /// Percentage of operations that stall first.
    pub(crate) stalls_percent: u8,
    /// The longest stall.
    pub(crate) stall_max: Duration,
    /// Cuts a connection after fewer than this many bytes, counting both directions.
    pub(crate) cut_below: Option<usize>,
}

impl Faults {
    pub(crate) const NONE: Self =
        Self { refused_percent: 0, stalls_percent: 0, stall_max: Duration::ZERO, cut_below: None };
}

#[derive(Clone)]
pub(crate) struct Sim(Rc<Network>);

struct Network {
    rng: RefCell<fastrand::Rng>,
    faults: Cell<Faults>,
    listener: mpsc::UnboundedSender<PeerEnd>,
}

impl Sim {
    /// Creates a network, and the receiver of the peer's ends of its connections.
    pub(crate) fn new(seed: u64, faults: Faults) -> (Self, mpsc::UnboundedReceiver<PeerEnd>) {
        let (listener, accepted) = mpsc::unbounded_channel();
        let rng = RefCell::new(fastrand::Rng::with_seed(seed));
        (Self(Rc::new(Network { rng, faults: Cell::new(faults), listener })), accepted)
    }

    /// Changes the faults of later connections.
    pub(crate) fn set_faults(&self, faults: Faults) {
        self.0.faults.set(faults);
    }
}

impl Network {
    fn below(&self, end: usize) -> usize {
        self.rng.borrow_mut().usize(..end.max(1))
    }

    fn occurs(&self, percent: u8) -> bool {
        self.below(100) < percent.into()
    }

    async fn stall(&self, faults: Faults) {
        if self.occurs(faults.stalls_percent) {
            let part = self.below(1000) as u32;
            tokio::time::sleep(faults.stall_max * part / 1000).await;
        }
    }
}

impl Reactor for Sim {
    type Stream = ClientEnd;

    async fn connect(&self, _: &str, _: u16, _: SocketOptions) -> io::Result<ClientEnd> {
        let faults = self.0.faults.get();
        self.0.stall(faults).await;
        if self.0.occurs(faults.refused_percent) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let link = Rc::new(Link {
            network: Rc::clone(&self.0),
            faults,
            left: Cell::new(faults.cut_below.map_or(usize::MAX, |below| self.0.below(below))),
            up: RefCell::default(),
            down: RefCell::default(),
            state: Cell::new(State::Whole),
            changed: Notify::new(),
        });
        // A peer that has gone accepts nothing.
        let far = PeerEnd(Rc::clone(&link));
        self.0.listener.send(far).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(ClientEnd { link, reading: Cell::new(false), writing: Cell::new(false) })
    }

    async fn poll_io(&self) -> io::Result<()> {
        tokio::task::yield_now().await;
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Whole,
    /// Shut down by us, or closed by the peer.
    Ended,
    /// Reset by a fault.
    Cut,
}

/// One connection, shared by both ends.
struct Link {
    network: Rc<Network>,
    faults: Faults,
    /// Bytes until it is cut.
    left: Cell<usize>,
    up: RefCell<VecDeque<u8>>,
    down: RefCell<VecDeque<u8>>,
    state: Cell<State>,
    changed: Notify,
}

impl Link {
    fn end(&self, state: State) {
        if self.state.get() == State::Whole {
            self.state.set(state);
        }
        self.changed.notify_waiters();
    }

    /// Returns how many of `wanted` bytes pass now: at least one, unless the connection is cut
    /// here.
    fn pass(&self, wanted: usize) -> usize {
        let short = if self.network.occurs(50) { 1 + self.network.below(wanted) } else { wanted };
        let passed = short.min(self.left.get());
        self.left.set(self.left.get() - passed);
        if self.left.get() == 0 {
            // Bytes in flight to us are lost in part.
            let kept = self.network.below(self.down.borrow().len() + 1);
            self.down.borrow_mut().truncate(kept);
            self.end(State::Cut);
        }
        passed
    }

    /// Returns the result of `attempt`, once it has one.
    async fn until<T>(&self, attempt: impl Fn() -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            if let Some(answer) = attempt() {
                return answer;
            }
            changed.await;
        }
    }

    fn read(&self, block: &mut [u8]) -> Option<io::Result<usize>> {
        if self.state.get() == State::Cut {
            return Some(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let waiting = self.down.borrow().len();
        if waiting == 0 {
            return (self.state.get() == State::Ended).then_some(Ok(0));
        }
        let count = self.pass(waiting.min(block.len()));
        let mut down = self.down.borrow_mut();
        let count = count.min(down.len());
        for (to, byte) in block.iter_mut().zip(down.drain(..count)) {
            *to = byte;
        }
        match count {
            0 => Some(Err(io::ErrorKind::ConnectionReset.into())),
            _ => Some(Ok(count)),
        }
    }

    fn write(&self, bytes: &[u8]) -> Option<io::Result<usize>> {
        if self.state.get() != State::Whole {
            return Some(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = WINDOW - self.up.borrow().len().min(WINDOW);
        if room == 0 {
            return None;
        }
        let count = self.pass(bytes.len().min(room));
        self.up.borrow_mut().extend(&bytes[..count]);
        self.changed.notify_waiters();
        // The bytes before a cut reach the peer although the write fails.
        let cut = self.state.get() == State::Cut;
        Some(if cut { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(count) })
    }
}

/// Our end.
pub(crate) struct ClientEnd {
    link: Rc<Link>,
    reading: Cell<bool>,
    writing: Cell<bool>,
}

/// Marks an operation in flight. If it is dropped unfinished, the mark stays and the next operation
/// panics.
struct InFlight<'a>(&'a Cell<bool>);

impl<'a> InFlight<'a> {
    fn begin(flag: &'a Cell<bool>) -> Self {
        assert!(!flag.replace(true), "one operation of a kind is in flight per socket");
        Self(flag)
    }

    fn finish(self) {
        self.0.set(false);
    }
}

impl ClientEnd {
    async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let flight = InFlight::begin(&self.writing);
        self.link.network.stall(self.link.faults).await;
        let done = self.link.until(|| self.link.write(bytes)).await;
        flight.finish();
        done
    }
}

impl Stream for ClientEnd {
    async fn read(&self, mut block: Vec<u8>) -> Completion<Vec<u8>> {
        let flight = InFlight::begin(&self.reading);
        self.link.network.stall(self.link.faults).await;
        let filled = RefCell::new(&mut block);
        let done = self.link.until(|| self.link.read(&mut filled.borrow_mut())).await;
        flight.finish();
        (done, block)
    }

    async fn write(
        &self,
        buffer: Vec<u8>,
        range: Range<usize>,
        _after: AfterWrite,
    ) -> Completion<Vec<u8>> {
        (self.send(&buffer[range]).await, buffer)
    }

    async fn write_shared(&self, body: Bytes, range: Range<usize>) -> Completion<Bytes> {
        (self.send(&body[range]).await, body)
    }

    fn shutdown(&self) {
        self.link.end(State::Ended);
    }
}

/// The peer's end, which the test controls.
pub(crate) struct PeerEnd(Rc<Link>);

impl PeerEnd {
    /// Returns the bytes that have arrived; `None` if no more will. Dropping the future loses
    /// nothing.
    pub(crate) async fn read(&self) -> Option<Vec<u8>> {
        self.0
            .until(|| {
                let mut up = self.0.up.borrow_mut();
                if up.is_empty() {
                    return (self.0.state.get() != State::Whole).then_some(None);
                }
                let taken = up.drain(..).collect();
                self.0.changed.notify_waiters();
                Some(Some(taken))
            })
            .await
    }

    pub(crate) fn write(&self, bytes: &[u8]) {
        if self.0.state.get() == State::Whole {
            self.0.down.borrow_mut().extend(bytes);
            self.0.changed.notify_waiters();
        }
    }
}

impl Drop for PeerEnd {
    fn drop(&mut self) {
        self.0.end(State::Ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: SocketOptions = SocketOptions {
        tcp_user_timeout: Duration::ZERO,
        resolve_timeout: Duration::ZERO,
        connect_timeout: Duration::ZERO,
    };

    fn run<T>(future: impl Future<Output = T>) -> T {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap().block_on(future)
    }

    /// Writes and reads back until the connection is cut; returns what arrived on either side.
    async fn echo(seed: u64, faults: Faults) -> (Vec<u8>, Vec<u8>) {
        let (sim, mut accepted) = Sim::new(seed, faults);
        let near = sim.connect("peer", 1, OPTIONS).await.unwrap();
        let far = accepted.recv().await.unwrap();
        let (mut there, mut back) = (Vec::new(), Vec::new());
        let data: Vec<u8> = (0..100).collect();
        let mut sent = 0;
        while sent < data.len() {
            let (done, _) = near.write(data.clone(), sent..data.len(), AfterWrite::Continues).await;
            let Ok(count) = done else { break };
            sent += count;
            let heard = far.read().await.unwrap();
            there.extend(&heard);
            far.write(&heard);
        }
        while back.len() < there.len() {
            let (done, block) = near.read(vec![0; 64]).await;
            let Ok(count @ 1..) = done else { break };
            back.extend(&block[..count]);
        }
        (there, back)
    }

    #[test]
    fn without_faults_everything_arrives() {
        let (there, back) = run(echo(1, Faults::NONE));
        assert_eq!((there.len(), back), (100, there));
    }

    #[test]
    fn a_seed_decides_the_faults() {
        let stall_max = Duration::from_secs(100);
        let faults =
            Faults { refused_percent: 0, stalls_percent: 50, stall_max, cut_below: Some(200) };
        let once: Vec<_> = (0..50).map(|seed| run(echo(seed, faults))).collect();
        let again: Vec<_> = (0..50).map(|seed| run(echo(seed, faults))).collect();
        assert!(once == again);
        assert!(once.iter().any(|(there, _)| there.len() < 100), "some were cut");
        assert!(once.iter().any(|(there, _)| there.len() == 100), "some were not");
        for (there, back) in &once {
            assert!(there.starts_with(back), "whatever arrives is in order");
        }
    }

    #[test]
    fn a_shutdown_completes_a_pending_read() {
        run(async {
            let (sim, mut accepted) = Sim::new(1, Faults::NONE);
            let near = sim.connect("peer", 1, OPTIONS).await.unwrap();
            let far = accepted.recv().await.unwrap();
            let ending = async {
                tokio::time::sleep(Duration::from_secs(1000)).await;
                near.shutdown();
            };
            let ((done, _), ()) = tokio::join!(near.read(vec![0; 9]), ending);
            assert_eq!(done.unwrap(), 0);
            assert_eq!(far.read().await, None);
            assert!(near.write(vec![1], 0..1, AfterWrite::Continues).await.0.is_err());
        });
    }
}
