//! The bytes to be sent to one client.
//!
//! The thread that has enqueued bytes tries to send them at once, without waiting; the connection's
//! writer thread sends what the socket does not accept, and may wait. Invariants: one thread at a
//! time uses the socket (`busy`), bytes leave in the order in which they were enqueued, only whole
//! frames are enqueued. Above [`OUTGOING_MAX`] no delivery is enqueued until the client has read.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::{SendFlags, send};

use crate::wire::frame::HEARTBEAT_FRAME;

/// Limit of bytes that wait for one client; above it, its consumers get no more deliveries. Several
/// receive buffers of a fast client, so that it never starves, and still small.
pub(crate) const OUTGOING_MAX: usize = 4 << 20;

/// Deliveries resume below this many bytes: late enough to send in batches, early enough that the
/// client does not starve.
const OUTGOING_LOW: usize = 1 << 20;

/// How long a client that is being closed may take to read the remaining bytes.
const LAST_WRITE_MAX: Duration = Duration::from_secs(5);

/// The next task of the writer thread.
enum Work {
    Write(Vec<u8>, usize),
    Resume,
    End,
}

#[derive(Debug, Default)]
struct State {
    buffer: Vec<u8>,
    spare: Vec<u8>,
    /// A buffer that the socket accepted only in part, and the number of bytes sent.
    rest: Option<(Vec<u8>, usize)>,
    busy: bool,
    /// Send the remaining bytes, then close.
    ended: bool,
    dead: bool,
    muted: bool,
    delay: Duration,
    heartbeat: Option<Duration>,
    has_sent: bool,
    waiting: usize,
}

impl State {
    fn has_bytes(&self) -> bool {
        self.rest.is_some() || !self.buffer.is_empty()
    }

    fn take(&mut self) -> (Vec<u8>, usize) {
        self.rest.take().unwrap_or_else(|| {
            let spare = std::mem::take(&mut self.spare);
            (std::mem::replace(&mut self.buffer, spare), 0)
        })
    }
}

/// The sending half of one connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) stream: TcpStream,
    state: Mutex<State>,
    wake: Condvar,
    room: Condvar,
    backlog: AtomicUsize,
    resume_requested: AtomicBool,
}

impl Outgoing {
    pub(crate) fn new(stream: TcpStream, delay: Duration) -> Self {
        Self {
            stream,
            state: Mutex::new(State { delay, ..State::default() }),
            wake: Condvar::new(),
            room: Condvar::new(),
            backlog: AtomicUsize::new(0),
            resume_requested: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of bytes enqueued and not yet sent.
    pub(crate) fn backlog(&self) -> usize {
        self.backlog.load(Ordering::Relaxed)
    }

    /// Records that deliveries were held back; the writer requests them when there is room.
    pub(crate) fn request_resume(&self) {
        self.resume_requested.store(true, Ordering::Release);
    }

    /// Enqueues whole frames; leaves `pending` empty.
    pub(crate) fn enqueue(&self, pending: &mut Vec<u8>) {
        let mut state = self.lock();
        if state.dead || state.muted {
            pending.clear();
            return;
        }
        self.backlog.fetch_add(pending.len(), Ordering::Relaxed);
        if state.buffer.is_empty() {
            std::mem::swap(&mut state.buffer, pending);
        } else {
            state.buffer.append(pending);
        }
    }

    /// Sends what the socket accepts without waiting and leaves the rest to the writer thread.
    pub(crate) fn flush(&self) {
        let mut state = self.lock();
        while !state.busy && !state.dead && state.has_bytes() {
            if !state.delay.is_zero() || state.rest.is_some() {
                self.wake.notify_one();
                return;
            }
            state.busy = true;
            let (bytes, from) = state.take();
            drop(state);
            let sent = self.send_some(&bytes, from);
            state = self.lock();
            self.settle(&mut state, bytes, from, sent);
        }
    }

    /// Sends until the socket is full; returns `None` if it is broken.
    fn send_some(&self, bytes: &[u8], mut from: usize) -> Option<usize> {
        while from < bytes.len() {
            match send(&self.stream, &bytes[from..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => from += count,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => (),
                Err(_) => return None,
            }
        }
        Some(from)
    }

    /// Records a send that advanced from byte `from` to `sent`.
    fn settle(&self, state: &mut State, mut bytes: Vec<u8>, from: usize, sent: Option<usize>) {
        state.busy = false;
        state.has_sent = true;
        let Some(sent) = sent else {
            return self.fail(state);
        };
        let left = self.backlog.fetch_sub(sent - from, Ordering::Relaxed) - (sent - from);
        if sent == bytes.len() {
            bytes.clear();
            state.spare = bytes;
        } else {
            state.rest = Some((bytes, sent));
        }
        if state.waiting > 0 {
            self.room.notify_all();
        }
        let resume = left < OUTGOING_LOW && self.resume_requested.load(Ordering::Acquire);
        if state.rest.is_some() || state.ended || resume {
            self.wake.notify_one();
        }
    }

    fn fail(&self, state: &mut State) {
        state.dead = true;
        state.buffer = Vec::new();
        state.rest = None;
        // The reader sees the end of the stream and cleans up.
        let _ = self.stream.shutdown(Shutdown::Both);
        self.wake.notify_all();
        self.room.notify_all();
    }

    /// Runs the writer thread. `resume` requests the deliveries that the broker held back.
    pub(crate) fn write_until_end(&self, mut resume: impl FnMut()) {
        while let Some(work) = self.wait() {
            match work {
                Work::Resume => resume(),
                Work::Write(bytes, from) => {
                    let mut stream = &self.stream;
                    let sent = stream.write_all(&bytes[from..]).ok().map(|()| bytes.len());
                    let mut state = self.lock();
                    self.settle(&mut state, bytes, from, sent);
                }
                Work::End => {
                    // Shuts down only our half: closing with unread bytes would reset the
                    // connection, and the client might never receive the last bytes.
                    self.lock().dead = true;
                    let _ = self.stream.shutdown(Shutdown::Write);
                    return;
                }
            }
        }
    }

    /// Waits for the next task; returns `None` when the connection is dead.
    fn wait(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if state.dead {
                return None;
            }
            if !state.busy {
                if state.has_bytes() {
                    state = self.wait_delay(state);
                    if state.dead {
                        return None;
                    }
                    state.busy = true;
                    let (bytes, from) = state.take();
                    return Some(Work::Write(bytes, from));
                }
                if state.ended {
                    return Some(Work::End);
                }
                if self.backlog() < OUTGOING_LOW
                    && self.resume_requested.swap(false, Ordering::AcqRel)
                {
                    return Some(Work::Resume);
                }
            }
            // Three times per interval, so that our silence never reaches the agreed time.
            let Some(pause) = state.heartbeat.map(|interval| interval / 3) else {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let waited = self.wake.wait_timeout(state, pause);
            let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if timeout.timed_out() && !state.has_bytes() && !state.busy {
                if !state.has_sent && !state.muted {
                    state.buffer.extend_from_slice(&HEARTBEAT_FRAME);
                    self.backlog.fetch_add(HEARTBEAT_FRAME.len(), Ordering::Relaxed);
                }
                state.has_sent = false;
            }
        }
    }

    /// Waits for the scripted delay before a write; ends early only if the connection dies.
    fn wait_delay<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let until = crate::loopback::clock::now() + state.delay;
        state.busy = true;
        while !state.dead {
            let left = until.saturating_duration_since(crate::loopback::clock::now());
            if left.is_zero() {
                break;
            }
            state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.busy = false;
        state
    }

    /// Waits until the client has read enough.
    pub(crate) fn wait_for_room(&self) {
        let mut state = self.lock();
        while self.backlog() > OUTGOING_MAX && !state.dead {
            state.waiting += 1;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    /// Sends the remaining bytes, then closes.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        // Limits the wait for a client that does not read. If the option cannot be set, the socket
        // is dead.
        let _ = self.stream.set_write_timeout(Some(LAST_WRITE_MAX));
        self.wake.notify_all();
    }

    /// Closes at once and discards the remaining bytes.
    pub(crate) fn kill(&self) {
        let mut state = self.lock();
        self.fail(&mut state);
    }

    /// Sends nothing from now on, and keeps the connection open.
    pub(crate) fn mute(&self) {
        self.lock().muted = true;
    }

    pub(crate) fn set_delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// Starts heartbeats.
    pub(crate) fn set_heartbeat(&self, interval: Duration) {
        self.lock().heartbeat = Some(interval);
        self.wake.notify_all();
    }
}
