//! A ring of our own: operations on owned buffers, submitted and reaped in turns.
//!
//! Invariants: a buffer and its descriptor belong to the slot of their operation from the moment
//! its entry is queued until its completion was seen, whoever drops the future meanwhile; a slot is
//! used again only then. Not here: who sleeps when (`drive`).

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use io_uring::types::{Fd, Timespec};
use io_uring::{IoUring, opcode, squeue};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use super::wakeup::Wakeup;
use crate::reactor::Done;

/// Entries that may wait for one submission; a turn of a shard with more submits twice.
const ENTRIES: u32 = 256;
/// How long a ring that is dropped waits for its last completions.
const GOODBYE: Duration = Duration::from_millis(10);
const GOODBYE_TURNS: usize = 100;
/// A refusal of the kernel that no rule foresees must not become a spinning thread.
const PAUSE: Duration = Duration::from_millis(1);

pub(in crate::reactor) struct Ring {
    inner: RefCell<Inner>,
    notice: OwnedFd,
}

struct Inner {
    uring: IoUring,
    slots: Vec<Slot>,
    free: Vec<u32>,
    pending: usize,
    woken: Vec<Waker>,
    alarm: Alarm,
    /// What the entry of an alarm refers to, until it is submitted.
    span: Box<Timespec>,
    /// The kernel refused the last turn, and that was logged.
    is_refused: bool,
}

/// A timer that ends a wait; one for many waits, because setting one costs more than a wait.
#[derive(Clone, Copy, PartialEq)]
enum Alarm {
    Off,
    Set,
    Over,
}

/// Not the number of a slot.
const ALARM: u64 = u64::MAX;

enum Slot {
    Free,
    Pending { buffer: Buffer, file: File, waiting: Waiting },
    Done(io::Result<usize>, Buffer),
}

/// Who waits for a completion.
enum Waiting {
    NotYet,
    Task(Waker),
    /// The future was dropped.
    Nobody,
}

/// What the kernel reads or fills.
pub(super) enum Buffer {
    Owned(Vec<u8>),
    Shared(Bytes),
}

impl Buffer {
    pub(super) fn owned(self) -> Vec<u8> {
        match self {
            Self::Owned(buffer) => buffer,
            Self::Shared(_) => unreachable!("an operation gives back what it was given"),
        }
    }

    pub(super) fn shared(self) -> Bytes {
        match self {
            Self::Shared(body) => body,
            Self::Owned(_) => unreachable!("an operation gives back what it was given"),
        }
    }
}

/// What an operation is on.
#[derive(Clone)]
pub(super) enum File {
    Socket(Rc<TcpStream>),
    Event(Arc<Wakeup>),
}

impl File {
    fn fd(&self) -> Fd {
        Fd(match self {
            Self::Socket(socket) => socket.as_raw_fd(),
            Self::Event(wakeup) => wakeup.event().as_raw_fd(),
        })
    }

    /// Makes pending operations complete.
    fn interrupt(&self) {
        match self {
            // An error means the peer was faster.
            Self::Socket(socket) => drop(socket.shutdown(std::net::Shutdown::Both)),
            Self::Event(wakeup) => wakeup.ring(),
        }
    }
}

impl Ring {
    /// A ring for this thread alone.
    pub(in crate::reactor) fn new() -> io::Result<Self> {
        let mut flags = IoUring::builder();
        flags.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
        match flags.build(ENTRIES) {
            // Kernels before 6.1 do not know all of these flags.
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                Self::plain()
            }
            uring => Self::of(uring?),
        }
    }

    /// A ring without flags.
    pub(in crate::reactor) fn plain() -> io::Result<Self> {
        Self::of(IoUring::new(ENTRIES)?)
    }

    fn of(uring: IoUring) -> io::Result<Self> {
        let notice = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        uring.submitter().register_eventfd(notice.as_raw_fd())?;
        let inner = Inner {
            uring,
            slots: Vec::new(),
            free: Vec::new(),
            pending: 0,
            woken: Vec::new(),
            alarm: Alarm::Off,
            span: Box::default(),
            is_refused: false,
        };
        let ring = Self { inner: RefCell::new(inner), notice };
        ring.tell(false);
        Ok(ring)
    }

    /// Completes one operation, for whoever asks whether the kernel and its filters allow it.
    pub(in crate::reactor) fn probe(&self) -> io::Result<()> {
        let mut inner = self.inner.borrow_mut();
        inner.queue(&opcode::Nop::new().build());
        inner.uring.submit_and_wait(1)?;
        let done = inner.uring.completion().next();
        let done = done.ok_or_else(|| io::Error::other("no completion arrived"))?;
        answered(done.result()).map(drop)
    }

    /// Written by the kernel when there is something to reap, while [`tell`](Self::tell) asks for
    /// it.
    pub(super) fn notice(&self) -> BorrowedFd<'_> {
        self.notice.as_fd()
    }

    /// Asks for notices or wants none. What came before is not told: look once afterwards.
    pub(super) fn tell(&self, wanted: bool) {
        let mut inner = self.inner.borrow_mut();
        let completions = inner.uring.completion();
        if wanted {
            completions.enable_eventfd();
        } else {
            completions.disable_eventfd();
        }
        fence(Ordering::SeqCst);
    }

    /// Receives into the whole of `block`.
    pub(super) fn receive(self: &Rc<Self>, file: File, mut block: Vec<u8>) -> Operation {
        let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
        let entry = opcode::Recv::new(file.fd(), block.as_mut_ptr(), length).build();
        self.queue(entry, file, Buffer::Owned(block))
    }

    /// Sends `range` of a buffer, or the beginning of it.
    pub(super) fn send(
        self: &Rc<Self>,
        file: File,
        buffer: Buffer,
        range: Range<usize>,
    ) -> Operation {
        let bytes = match &buffer {
            Buffer::Owned(bytes) => &bytes[range],
            Buffer::Shared(bytes) => &bytes[range],
        };
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let flags = rustix::net::SendFlags::NOSIGNAL.bits().cast_signed();
        let entry = opcode::Send::new(file.fd(), bytes.as_ptr(), length).flags(flags).build();
        self.queue(entry, file, buffer)
    }

    /// Reads what is no socket.
    pub(super) fn read(self: &Rc<Self>, file: File, mut block: Vec<u8>) -> Operation {
        let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
        let entry = opcode::Read::new(file.fd(), block.as_mut_ptr(), length).build();
        self.queue(entry, file, Buffer::Owned(block))
    }

    fn queue(self: &Rc<Self>, entry: squeue::Entry, file: File, buffer: Buffer) -> Operation {
        let mut inner = self.inner.borrow_mut();
        let inner = &mut *inner;
        let slot = inner.free.pop().unwrap_or_else(|| {
            inner.slots.push(Slot::Free);
            (inner.slots.len() - 1) as u32
        });
        inner.slots[slot as usize] = Slot::Pending { buffer, file, waiting: Waiting::NotYet };
        inner.pending += 1;
        inner.queue(&entry.user_data(slot.into()));
        Operation { ring: Rc::clone(self), slot: Some(slot) }
    }

    /// Sets the alarm that ends a wait after `span`, unless it is set already.
    pub(super) fn set_alarm(&self, span: Duration) {
        let mut inner = self.inner.borrow_mut();
        if inner.alarm == Alarm::Set {
            return;
        }
        inner.alarm = Alarm::Set;
        *inner.span = Timespec::from(span);
        let entry = opcode::Timeout::new(&raw const *inner.span).build().user_data(ALARM);
        inner.queue(&entry);
    }

    /// Whether the alarm went off since it was asked last.
    pub(super) fn is_over(&self) -> bool {
        let mut inner = self.inner.borrow_mut();
        let is_over = inner.alarm == Alarm::Over;
        if is_over {
            inner.alarm = Alarm::Off;
        }
        is_over
    }

    /// Submits what is queued; waits for a completion or the alarm, if asked to.
    pub(super) fn enter(&self, waits: bool) {
        let mut inner = self.inner.borrow_mut();
        if waits {
            return inner.submit(1);
        }
        let queue = inner.uring.submission();
        let is_idle = queue.is_empty() && !queue.taskrun() && !queue.cq_overflow();
        drop(queue);
        if !is_idle {
            inner.submit(0);
        }
    }

    /// Wakes whoever waits for completions that are here; says how many there were.
    pub(super) fn reap(&self) -> usize {
        let mut inner = self.inner.borrow_mut();
        let count = inner.reap();
        let mut woken = std::mem::take(&mut inner.woken);
        drop(inner);
        // Outside the borrow: waking runs code of others.
        woken.drain(..).for_each(Waker::wake);
        self.inner.borrow_mut().woken = woken;
        count
    }
}

impl Inner {
    fn queue(&mut self, entry: &squeue::Entry) {
        while !self.push(entry) {
            self.submit(0);
        }
    }

    #[expect(unsafe_code, reason = "an entry refers to memory that the kernel will use")]
    fn push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: the entry refers to a descriptor and to bytes that its slot keeps, unmoved, until
        // its completion was seen: `Vec` and `Bytes` keep their bytes in place when they move, a
        // pending slot gives its buffer to nobody, and a ring that is dropped with pending slots
        // leaks them. An alarm's entry refers to `span`, which is boxed and changes only while no
        // alarm is set; the kernel reads it when it is submitted.
        unsafe { self.uring.submission().push(entry) }.is_ok()
    }

    fn submit(&mut self, want: usize) {
        let Err(error) = self.uring.submit_and_wait(want) else {
            self.is_refused = false;
            return;
        };
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        // A signal came, or completions must be reaped first: both mean the next turn.
        if !matches!(errno, Some(Errno::INTR | Errno::BUSY)) {
            if !std::mem::replace(&mut self.is_refused, true) {
                log(|| {
                    tracing::warn!(
                        name: "leveret.engine.ring.refused",
                        %error, "io_uring_enter failed; it is tried again"
                    );
                });
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn reap(&mut self) -> usize {
        let mut count = 0;
        for done in self.uring.completion() {
            if done.user_data() == ALARM {
                self.alarm = Alarm::Over;
                continue;
            }
            count += 1;
            let slot = done.user_data() as u32;
            let ended = std::mem::replace(&mut self.slots[slot as usize], Slot::Free);
            self.pending -= 1;
            let Slot::Pending { buffer, waiting, .. } = ended else {
                unreachable!("a completion belongs to a pending slot")
            };
            let result = answered(done.result());
            self.slots[slot as usize] = match waiting {
                Waiting::Nobody => {
                    self.free.push(slot);
                    continue;
                }
                Waiting::NotYet => Slot::Done(result, buffer),
                Waiting::Task(waker) => {
                    self.woken.push(waker);
                    Slot::Done(result, buffer)
                }
            };
        }
        count
    }
}

/// What a completion says: a length, or a negated errno.
fn answered(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

impl Drop for Ring {
    fn drop(&mut self) {
        for slot in &self.inner.get_mut().slots {
            if let Slot::Pending { file, .. } = slot {
                file.interrupt();
            }
        }
        for _ in 0..GOODBYE_TURNS {
            if self.inner.get_mut().pending == 0 {
                break;
            }
            self.set_alarm(GOODBYE);
            self.enter(true);
            self.reap();
        }
        let inner = self.inner.get_mut();
        if inner.pending > 0 {
            // First of all: the kernel may still write there.
            std::mem::forget(std::mem::take(&mut inner.slots));
            let pending = inner.pending;
            log(|| {
                tracing::warn!(
                    name: "leveret.engine.ring.operations_left",
                    pending, "operations outlive their ring"
                );
            });
        }
    }
}

/// One operation; its result, and the buffer back. Dropping it forgets the result: the buffer stays
/// with the kernel as long as that needs it.
pub(super) struct Operation {
    ring: Rc<Ring>,
    slot: Option<u32>,
}

impl Future for Operation {
    type Output = Done<Buffer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let slot = self.slot.expect("polled after its end") as usize;
        let mut inner = self.ring.inner.borrow_mut();
        match &mut inner.slots[slot] {
            Slot::Pending { waiting, .. } => {
                match waiting {
                    Waiting::Task(waker) => waker.clone_from(cx.waker()),
                    other => *other = Waiting::Task(cx.waker().clone()),
                }
                Poll::Pending
            }
            done => {
                let Slot::Done(result, buffer) = std::mem::replace(done, Slot::Free) else {
                    unreachable!("a slot is its operation's until it is over")
                };
                inner.free.push(slot as u32);
                drop(inner);
                self.slot = None;
                Poll::Ready((result, buffer))
            }
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let Some(slot) = self.slot else { return };
        let mut inner = self.ring.inner.borrow_mut();
        match &mut inner.slots[slot as usize] {
            Slot::Pending { waiting, .. } => *waiting = Waiting::Nobody,
            done => {
                *done = Slot::Free;
                inner.free.push(slot);
            }
        }
    }
}

/// Emits an event. The program's subscriber may panic in it, and that must not end a ring.
fn log(event: impl FnOnce()) {
    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(event)) {
        // Dropping it might panic as well.
        std::mem::forget(panic);
    }
}
