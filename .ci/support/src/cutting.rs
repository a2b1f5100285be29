//! A proxy to a broker that closes a connection at any octet of a message or of its
//! acknowledgement.
//!
//! One thread per direction of a connection reads whole AMQP frames and forwards them. An armed
//! [`CutPoint`] selects a connection by its purpose; the proxy forwards everything before that
//! point, and no octet more in either direction, then closes both sides, in order (FIN) or with a
//! reset (RST). Invariant: one cut per arming. The purpose of a connection is the end of its name
//! (`program:pid:purpose`), as Leveret sets it. Not here: delays and corruption, TLS, the reaction
//! of clients.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use crate::frames::{Frame, FrameKind, Frames, Sender};

/// The message a cut selects: the next one that is published, or delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutMessage {
    /// `basic.publish`, which the broker confirms.
    Published,
    /// `basic.deliver`, which the client acknowledges.
    Delivered,
}

/// One frame of a message, or its acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FramePart {
    /// The method frame.
    Method,
    /// The content header.
    Header,
    /// The first body frame.
    Body,
    /// The acknowledgement or confirm of the other side, or its negative.
    Ack,
}

/// How many octets of that frame the proxy forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutOffset {
    /// No octet.
    Before,
    /// The first octet.
    First,
    /// This many octets after the first, modulo the length of the frame.
    Within(usize),
    /// All octets but the last.
    Last,
    /// The whole frame.
    After,
}

/// How the proxy closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseMode {
    /// In order (FIN).
    Fin,
    /// With a reset (RST); undelivered octets are lost.
    Rst,
}

/// The point at which the proxy closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutPoint {
    /// The purpose of the connection.
    pub purpose: &'static str,
    /// The kind of message.
    pub carried: CutMessage,
    /// Messages to forward before.
    pub skip: usize,
    /// The frame of the message.
    pub part: FramePart,
    /// The octet of the frame.
    pub at: CutOffset,
    /// How the connection is closed.
    pub by: CloseMode,
}

/// A proxy to a broker. It runs until the end of the process.
#[derive(Debug)]
pub struct CuttingProxy {
    port: u16,
    shared: Arc<CutState>,
}

#[derive(Debug, Default)]
struct CutState {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    armed: Option<CutPoint>,
    /// Messages to forward before the selected one.
    skip: usize,
    /// Connection and channel of the selected message while it passes; `tag` is its delivery tag if
    /// it is a delivery.
    passing: Option<(u64, u16)>,
    tag: u64,
    /// The cut point is reached; the proxy still forwards the octets before it.
    is_cutting: bool,
    cuts: u64,
    /// Connections whose handshake is complete.
    open: usize,
    connections: u64,
}

/// State that the two threads of a connection share.
#[derive(Debug)]
struct Link {
    id: u64,
    near: TcpStream,
    far: TcpStream,
    purpose: OnceLock<String>,
    is_open: AtomicBool,
    is_cut: AtomicBool,
}

impl CuttingProxy {
    /// Starts a proxy to the broker at this address.
    ///
    /// # Panics
    /// When the proxy cannot listen.
    pub fn to(broker: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let shared = Arc::new(CutState::default());
        let for_listener = Arc::clone(&shared);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // If the broker is unreachable, the client sees the connection end.
                let _ = serve(near, broker, &for_listener);
            }
        });
        Self { port, shared }
    }

    /// Returns the port of the proxy on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Arms a cut: the proxy cuts at the next such point.
    pub fn arm(&self, cut: CutPoint) {
        let mut state = self.shared.lock();
        (state.armed, state.skip, state.passing) = (Some(cut), cut.skip, None);
    }

    /// Waits until the proxy makes the armed cut. Returns false, and disarms it, if that takes
    /// longer than `within`.
    pub fn await_cut(&self, within: Duration) -> bool {
        let is_cut = self.shared.wait(within, |state| state.armed.is_none() && !state.is_cutting);
        self.shared.lock().armed = None;
        is_cut
    }

    /// Returns how many connections are open.
    pub fn open(&self) -> usize {
        self.shared.lock().open
    }

    /// Waits until `connections` connections are open; returns false after `within`.
    pub fn await_open(&self, connections: usize, within: Duration) -> bool {
        self.shared.wait(within, |state| state.open == connections)
    }

    /// Returns the number of cuts so far.
    pub fn cuts(&self) -> u64 {
        self.shared.lock().cuts
    }
}

impl CutState {
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

fn serve(near: TcpStream, broker: SocketAddr, shared: &Arc<CutState>) -> io::Result<()> {
    let far = TcpStream::connect(broker)?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let id = {
        let mut state = shared.lock();
        state.connections += 1;
        state.connections
    };
    let (purpose, is_open, is_cut) = (OnceLock::new(), false.into(), false.into());
    let link = Arc::new(Link { id, near, far, purpose, is_open, is_cut });
    for sender in [Sender::Client, Sender::Broker] {
        let (link, shared) = (Arc::clone(&link), Arc::clone(shared));
        std::thread::spawn(move || link.pass(sender, &shared));
    }
    Ok(())
}

impl Link {
    /// Forwards frames until either side ends or the connection is cut.
    fn pass(&self, sender: Sender, shared: &CutState) {
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
                self.note(&frame, shared);
                let cut = self.cut_in(&frame, shared);
                let passed = cut.map_or(frame.octets.len(), |(octets, _)| octets);
                passing.extend_from_slice(&frame.octets[..passed]);
                if let Some((_, by)) = cut {
                    self.is_cut.store(true, Ordering::Release);
                    ending = Some(by);
                    break;
                }
            }
            if let Some(by) = ending {
                // If the other side has closed already, the cut counts all the same.
                let _ = to.write_all(&passing);
                return self.cut(by, shared);
            }
            if self.is_cut.load(Ordering::Acquire) || to.write_all(&passing).is_err() {
                break;
            }
        }
        self.end(shared);
    }

    /// Records the purpose of the connection, and that it is open.
    fn note(&self, frame: &Frame<'_>, shared: &CutState) {
        if let Some(purpose) = frame.purpose() {
            let _ = self.purpose.set(purpose);
        }
        if frame.is_open_ok() && !self.is_open.swap(true, Ordering::AcqRel) {
            shared.change(|state| state.open += 1);
        }
    }

    /// If the cut lies in this frame, returns how many octets of it pass and how the connection
    /// closes.
    fn cut_in(&self, frame: &Frame<'_>, shared: &CutState) -> Option<(usize, CloseMode)> {
        let mut state = shared.lock();
        let cut = state.armed?;
        if self.purpose.get().is_none_or(|purpose| purpose != cut.purpose) {
            return None;
        }
        let (method, sender) = match cut.carried {
            CutMessage::Published => (FrameKind::Publish, Sender::Client),
            CutMessage::Delivered => (FrameKind::Deliver, Sender::Broker),
        };
        let location = (self.id, frame.channel);
        let part = match (frame.kind, state.passing) {
            (kind, None) if kind == method => {
                if state.skip > 0 {
                    state.skip -= 1;
                    return None;
                }
                state.passing = Some(location);
                state.tag = frame.delivery_tag();
                FramePart::Method
            }
            (FrameKind::Header, Some(passing)) if location == passing && frame.sender == sender => {
                FramePart::Header
            }
            (FrameKind::Body, Some(passing)) if location == passing && frame.sender == sender => {
                FramePart::Body
            }
            (FrameKind::Ack, Some(passing)) if location == passing && frame.sender != sender => {
                // The frame may acknowledge an earlier delivery.
                if frame.delivery_tag() < state.tag {
                    return None;
                }
                FramePart::Ack
            }
            _ => return None,
        };
        (part == cut.part).then(|| {
            (state.armed, state.is_cutting) = (None, true);
            (cut.at.octets(frame.octets.len()), cut.by)
        })
    }

    fn cut(&self, by: CloseMode, shared: &CutState) {
        if by == CloseMode::Rst {
            for side in [&self.near, &self.far] {
                // The kernel sends the reset when the other thread, woken by this, has dropped the
                // socket.
                let _ = set_socket_linger(side, Some(Duration::ZERO));
                let _ = side.shutdown(Shutdown::Read);
            }
        }
        if by == CloseMode::Fin {
            self.shut();
        }
        self.closed(shared);
        shared.change(|state| {
            state.cuts += 1;
            state.is_cutting = false;
        });
    }

    fn end(&self, shared: &CutState) {
        self.closed(shared);
        if !self.is_cut.load(Ordering::Acquire) {
            self.shut();
        }
    }

    fn shut(&self) {
        // Either side may be closed already.
        let _ = self.near.shutdown(Shutdown::Both);
        let _ = self.far.shutdown(Shutdown::Both);
    }

    fn closed(&self, shared: &CutState) {
        let was_open = self.is_open.swap(false, Ordering::AcqRel);
        shared.change(|state| state.open -= usize::from(was_open));
    }
}

impl CutOffset {
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
        let offsets = [
            CutOffset::Before,
            CutOffset::First,
            CutOffset::Within(0),
            CutOffset::Within(9),
            CutOffset::Last,
            CutOffset::After,
        ];
        assert_eq!(offsets.map(|at| at.octets(12)), [0, 1, 2, 2, 11, 12]);
        assert!((0..100).all(|more| (2..=10).contains(&CutOffset::Within(more).octets(12))));
    }
}
