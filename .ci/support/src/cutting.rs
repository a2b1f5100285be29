//! A way to a broker that can be cut at any octet of a message or of the answer to it.
//!
//! A thread for each direction of a connection reads whole AMQP frames and passes them on. A
//! [`Cut`] that was armed lets pass what comes before its place, on the connection of that purpose,
//! and not an octet more in either direction; then it ends both halves, in order (FIN) or in the
//! midst (RST). Invariant: one cut for each arming. Connections are told apart by the purpose at
//! the end of their names (`program:pid:purpose`), as Leveret gives them. Not here: delays and
//! corruption, TLS, what clients make of it.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use crate::frames::{Frame, Frames, Piece, Sender};

/// Which message a cut is about: the next one that is published, or delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// `basic.publish`, which the broker confirms.
    Published,
    /// `basic.deliver`, which the client acknowledges.
    Delivered,
}

/// One frame of a message, or the answer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The method frame.
    Method,
    /// The content header.
    Header,
    /// The first body frame.
    Body,
    /// What the other side says to it: a confirm, an acknowledgement, or the contrary of these.
    Answer,
}

/// How much of that frame passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Nothing.
    Before,
    /// Its first octet.
    First,
    /// So many octets more than the first, counted round and round within the frame.
    Within(usize),
    /// All but its last octet.
    Last,
    /// All of it.
    After,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// In order.
    Fin,
    /// At once, what was not yet delivered being lost.
    Rst,
}

/// Where to cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The purpose of the connection.
    pub purpose: &'static str,
    /// What is carried.
    pub carried: Carried,
    /// Messages that pass unharmed before.
    pub skip: usize,
    /// The frame.
    pub part: Part,
    /// The octet.
    pub at: At,
    /// The end.
    pub by: By,
}

/// A way to a broker. It ends with its process.
#[derive(Debug)]
pub struct CuttingProxy {
    port: u16,
    plan: Arc<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    armed: Option<Cut>,
    /// Messages to pass before.
    skip: usize,
    /// The message in question is passing on this connection and channel; one that is delivered has
    /// this number.
    passing: Option<(u64, u16)>,
    tag: u64,
    /// The place was reached, and what comes before it is on its way.
    is_cutting: bool,
    cuts: u64,
    /// Connections on which the handshake is over.
    open: usize,
    connections: u64,
}

/// What the two threads of a connection share.
#[derive(Debug)]
struct Pair {
    id: u64,
    near: TcpStream,
    far: TcpStream,
    purpose: OnceLock<String>,
    is_open: AtomicBool,
    is_cut: AtomicBool,
}

impl CuttingProxy {
    /// A way to the broker at this address.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn to(broker: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let plan = Arc::new(Plan::default());
        let for_listener = Arc::clone(&plan);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // Who is not served sees the connection end.
                let _ = serve(near, broker, &for_listener);
            }
        });
        Self { port, plan }
    }

    /// Where it listens, on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Cuts at the next such place.
    pub fn arm(&self, cut: Cut) {
        let mut state = self.plan.lock();
        (state.armed, state.skip, state.passing) = (Some(cut), cut.skip, None);
    }

    /// Waits until the cut that was armed is made; false, and no longer armed, if it is not made
    /// within this time.
    pub fn await_cut(&self, within: Duration) -> bool {
        let is_cut = self.plan.wait(within, |state| state.armed.is_none() && !state.is_cutting);
        self.plan.lock().armed = None;
        is_cut
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.plan.lock().open
    }

    /// Waits until so many connections are open; false if they are not within this time.
    pub fn await_open(&self, connections: usize, within: Duration) -> bool {
        self.plan.wait(within, |state| state.open == connections)
    }

    /// Cuts made so far.
    pub fn cuts(&self) -> u64 {
        self.plan.lock().cuts
    }
}

impl Plan {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, within: Duration, holds: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + within;
        let mut state = self.lock();
        while !holds(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

fn serve(near: TcpStream, broker: SocketAddr, plan: &Arc<Plan>) -> io::Result<()> {
    let far = TcpStream::connect(broker)?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let id = {
        let mut state = plan.lock();
        state.connections += 1;
        state.connections
    };
    let (purpose, is_open, is_cut) = (OnceLock::new(), false.into(), false.into());
    let pair = Arc::new(Pair { id, near, far, purpose, is_open, is_cut });
    for sender in [Sender::Client, Sender::Broker] {
        let (pair, plan) = (Arc::clone(&pair), Arc::clone(plan));
        std::thread::spawn(move || pair.pass(sender, &plan));
    }
    Ok(())
}

impl Pair {
    /// Carries frames until either side ends or the way is cut.
    fn pass(&self, sender: Sender, plan: &Plan) {
        let (mut from, mut to) = match sender {
            Sender::Client => (&self.near, &self.far),
            Sender::Broker => (&self.far, &self.near),
        };
        let mut frames = Frames::new(sender);
        let mut block = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut block) {
            frames.push(&block[..length]);
            let (mut passing, mut ending) = (Vec::new(), None);
            while let Some(frame) = frames.next() {
                self.note(&frame, plan);
                let cut = self.cut_in(&frame, plan);
                let passed = cut.map_or(frame.octets.len(), |(octets, _)| octets);
                passing.extend_from_slice(&frame.octets[..passed]);
                if let Some((_, by)) = cut {
                    self.is_cut.store(true, Ordering::Release);
                    ending = Some(by);
                    break;
                }
            }
            if let Some(by) = ending {
                // Where the other side has gone by itself, that is the same cut.
                let _ = to.write_all(&passing);
                return self.cut(by, plan);
            }
            if self.is_cut.load(Ordering::Acquire) || to.write_all(&passing).is_err() {
                break;
            }
        }
        self.end(plan);
    }

    /// Remembers whose connection it is, and that it is open.
    fn note(&self, frame: &Frame<'_>, plan: &Plan) {
        if let Some(purpose) = frame.purpose() {
            let _ = self.purpose.set(purpose);
        }
        if frame.is_open_ok() && !self.is_open.swap(true, Ordering::AcqRel) {
            plan.change(|state| state.open += 1);
        }
    }

    /// How much of this frame passes, if it is the last one.
    fn cut_in(&self, frame: &Frame<'_>, plan: &Plan) -> Option<(usize, By)> {
        let mut state = plan.lock();
        let cut = state.armed?;
        if self.purpose.get().is_none_or(|purpose| purpose != cut.purpose) {
            return None;
        }
        let (method, sender) = match cut.carried {
            Carried::Published => (Piece::Publish, Sender::Client),
            Carried::Delivered => (Piece::Deliver, Sender::Broker),
        };
        let place = (self.id, frame.channel);
        let part = match (frame.piece, state.passing) {
            (piece, None) if piece == method => {
                if state.skip > 0 {
                    state.skip -= 1;
                    return None;
                }
                state.passing = Some(place);
                state.tag = frame.delivery_tag();
                Part::Method
            }
            (Piece::Header, Some(passing)) if place == passing && frame.sender == sender => {
                Part::Header
            }
            (Piece::Body, Some(passing)) if place == passing && frame.sender == sender => {
                Part::Body
            }
            (Piece::Answer, Some(passing)) if place == passing && frame.sender != sender => {
                // Earlier deliveries may still be acknowledged.
                if frame.delivery_tag() < state.tag {
                    return None;
                }
                Part::Answer
            }
            _ => return None,
        };
        (part == cut.part).then(|| {
            (state.armed, state.is_cutting) = (None, true);
            (cut.at.octets(frame.octets.len()), cut.by)
        })
    }

    fn cut(&self, by: By, plan: &Plan) {
        if by == By::Rst {
            for side in [&self.near, &self.far] {
                // The reset leaves when the other thread, woken by this, has let go of the socket.
                let _ = set_socket_linger(side, Some(Duration::ZERO));
                let _ = side.shutdown(Shutdown::Read);
            }
        }
        if by == By::Fin {
            self.shut();
        }
        self.closed(plan);
        plan.change(|state| {
            state.cuts += 1;
            state.is_cutting = false;
        });
    }

    fn end(&self, plan: &Plan) {
        self.closed(plan);
        if !self.is_cut.load(Ordering::Acquire) {
            self.shut();
        }
    }

    fn shut(&self) {
        // Either may be gone already.
        let _ = self.near.shutdown(Shutdown::Both);
        let _ = self.far.shutdown(Shutdown::Both);
    }

    fn closed(&self, plan: &Plan) {
        let was_open = self.is_open.swap(false, Ordering::AcqRel);
        plan.change(|state| state.open -= usize::from(was_open));
    }
}

impl At {
    fn octets(self, length: usize) -> usize {
        match self {
            Self::Before => 0,
            Self::First => 1,
            Self::Within(more) => 2 + more % (length - 3),
            Self::Last => length - 1,
            Self::After => length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_lies_within_its_frame() {
        let places = [At::Before, At::First, At::Within(0), At::Within(9), At::Last, At::After];
        assert_eq!(places.map(|at| at.octets(12)), [0, 1, 2, 2, 11, 12]);
        assert!((0..100).all(|more| (2..=10).contains(&At::Within(more).octets(12))));
    }
}
