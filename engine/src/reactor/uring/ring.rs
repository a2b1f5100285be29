//! Our own ring: operations on owned buffers, submitted and reaped in ticks.
//!
//! Invariants: a buffer and its descriptor belong to the slot of their operation from the moment
//! its entry is queued until its completion was reaped, even if the future is dropped; a slot is
//! reused only then. `drive` decides when the shard sleeps.

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
use rustix::net::SendFlags;

use crate::reactor::Completion;
use crate::reactor::uring::wakeup::Wakeup;

/// Entries of the submission queue; a tick with more operations submits twice.
const ENTRIES: u32 = 256;
/// How long a dropped ring waits for its last completions.
const DRAIN_WAIT: Duration = Duration::from_millis(10);
const DRAIN_TICKS_MAX: usize = 100;
/// Pause after an unexpected error of the kernel, so that the thread does not spin.
const REFUSED_PAUSE: Duration = Duration::from_millis(1);

pub(in crate::reactor) struct Ring {
    inner: RefCell<Inner>,
    completion_event: OwnedFd,
}

struct Inner {
    uring: IoUring,
    slots: Vec<Slot>,
    free: Vec<u32>,
    pending: usize,
    /// Sends among the queued entries that complete when they are submitted.
    prompt: usize,
    woken: Vec<Waker>,
    alarm: Alarm,
    /// The timespec that the alarm's entry refers to, until the entry is submitted.
    alarm_span: Box<Timespec>,
    /// The kernel refused the last submission, and that was logged.
    is_refused: bool,
}

/// A timer that ends a wait. One alarm serves many waits, because setting one costs more than a
/// wait.
#[derive(Clone, Copy, PartialEq)]
enum Alarm {
    Off,
    Set,
    Fired,
}

/// User data of the alarm's entry; no slot has this number.
const ALARM: u64 = u64::MAX;

enum Slot {
    Free,
    Pending { buffer: Buffer, file: File, waiter: Waiter },
    Done(io::Result<usize>, Buffer),
}

/// The task that waits for a completion.
enum Waiter {
    NotPolled,
    Task(Waker),
    /// The future was dropped.
    Dropped,
}

/// The buffer that the kernel reads or fills.
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

/// Whether a send waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendWait {
    /// For room, if there is none.
    ForRoom,
    /// It sends what there is room for, or fails with `WouldBlock`. So it completes when it is
    /// submitted, and one system call can send and wait for what is sent in return.
    Never,
}

/// The file that an operation uses.
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
            // An error means that the peer has already closed.
            Self::Socket(socket) => drop(socket.shutdown(std::net::Shutdown::Both)),
            Self::Event(wakeup) => wakeup.ring(),
        }
    }
}

impl Ring {
    /// Creates a ring that only this thread uses.
    pub(in crate::reactor) fn new() -> io::Result<Self> {
        let mut flags = IoUring::builder();
        flags.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
        match flags.build(ENTRIES) {
            // Kernels before 6.1 do not support all of these flags.
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                Self::without_flags()
            }
            uring => Self::from_uring(uring?),
        }
    }

    /// Creates a ring without flags.
    pub(in crate::reactor) fn without_flags() -> io::Result<Self> {
        Self::from_uring(IoUring::new(ENTRIES)?)
    }

    fn from_uring(uring: IoUring) -> io::Result<Self> {
        let completion_event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        uring.submitter().register_eventfd(completion_event.as_raw_fd())?;
        let inner = Inner {
            uring,
            slots: Vec::new(),
            free: Vec::new(),
            pending: 0,
            prompt: 0,
            woken: Vec::new(),
            alarm: Alarm::Off,
            alarm_span: Box::default(),
            is_refused: false,
        };
        let ring = Self { inner: RefCell::new(inner), completion_event };
        ring.set_notify(false);
        Ok(ring)
    }

    /// Completes one operation, to check whether the kernel and its filters allow it.
    pub(in crate::reactor) fn probe(&self) -> io::Result<()> {
        let mut inner = self.inner.borrow_mut();
        inner.queue(&opcode::Nop::new().build());
        inner.uring.submit_and_wait(1)?;
        let done = inner.uring.completion().next();
        let done = done.ok_or_else(|| io::Error::other("no completion arrived"))?;
        completion_result(done.result()).map(drop)
    }

    /// The eventfd that the kernel signals when there is a completion to reap, while
    /// [`set_notify`](Self::set_notify) has enabled that.
    pub(super) fn completion_event(&self) -> BorrowedFd<'_> {
        self.completion_event.as_fd()
    }

    /// Enables or disables the eventfd. It does not report earlier completions, so reap once after
    /// enabling it.
    pub(super) fn set_notify(&self, wanted: bool) {
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
        wait: SendWait,
    ) -> Operation {
        let bytes = match &buffer {
            Buffer::Owned(bytes) => &bytes[range],
            Buffer::Shared(bytes) => &bytes[range],
        };
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut flags = SendFlags::NOSIGNAL;
        if wait == SendWait::Never {
            flags |= SendFlags::DONTWAIT;
            self.inner.borrow_mut().prompt += 1;
        }
        let flags = flags.bits().cast_signed();
        let entry = opcode::Send::new(file.fd(), bytes.as_ptr(), length).flags(flags).build();
        self.queue(entry, file, buffer)
    }

    /// Reads a file that is not a socket.
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
        inner.slots[slot as usize] = Slot::Pending { buffer, file, waiter: Waiter::NotPolled };
        inner.pending += 1;
        inner.queue(&entry.user_data(slot.into()));
        Operation { ring: Rc::clone(self), slot: Some(slot) }
    }

    /// Sets the alarm that ends a wait after `alarm_span`, unless it is already set.
    pub(super) fn set_alarm(&self, alarm_span: Duration) {
        let mut inner = self.inner.borrow_mut();
        if inner.alarm == Alarm::Set {
            return;
        }
        inner.alarm = Alarm::Set;
        *inner.alarm_span = Timespec::from(alarm_span);
        let entry = opcode::Timeout::new(&raw const *inner.alarm_span).build().user_data(ALARM);
        inner.queue(&entry);
    }

    /// Returns true if the alarm has fired since the last call.
    pub(super) fn take_alarm(&self) -> bool {
        let mut inner = self.inner.borrow_mut();
        let has_fired = inner.alarm == Alarm::Fired;
        if has_fired {
            inner.alarm = Alarm::Off;
        }
        has_fired
    }

    /// Submits what is queued; if `waits`, also waits for a completion or the alarm. The completion
    /// of a send that never waits does not end the wait; an alarm must be set.
    pub(super) fn enter(&self, waits: bool) {
        let mut inner = self.inner.borrow_mut();
        if waits {
            return inner.submit_and_wait();
        }
        let queue = inner.uring.submission();
        let is_idle = queue.is_empty() && !queue.taskrun() && !queue.cq_overflow();
        drop(queue);
        if !is_idle {
            inner.submit(0);
        }
    }

    /// Reaps completions and wakes the tasks that wait for them; returns their number.
    pub(super) fn reap(&self) -> usize {
        let mut inner = self.inner.borrow_mut();
        let count = inner.reap();
        let mut woken = std::mem::take(&mut inner.woken);
        drop(inner);
        // Outside the borrow, because a waker may run any code.
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
        // its completion was reaped: `Vec` and `Bytes` keep their bytes in place when they move, a
        // pending slot gives its buffer to no one, and a ring that is dropped with pending slots
        // leaks them. An alarm's entry refers to `alarm_span`, which is boxed and changes only
        // while no alarm is set; the kernel reads it when the entry is submitted.
        unsafe { self.uring.submission().push(entry) }.is_ok()
    }

    /// Waits for one completion more than those that submitting brings. Without an alarm, for one.
    fn submit_and_wait(&mut self) {
        let prompt = if self.alarm == Alarm::Set { self.prompt } else { 0 };
        self.submit(1 + prompt);
    }

    fn submit(&mut self, want: usize) {
        self.prompt = 0;
        let Err(error) = self.uring.submit_and_wait(want) else {
            self.is_refused = false;
            return;
        };
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        // A signal arrived, or completions must be reaped first: both lead to the next tick.
        if !matches!(errno, Some(Errno::INTR | Errno::BUSY)) {
            if !std::mem::replace(&mut self.is_refused, true) {
                log(|| {
                    tracing::warn!(
                        name: "leveret.engine.ring.refused",
                        %error, "io_uring_enter failed; it is tried again"
                    );
                });
            }
            std::thread::sleep(REFUSED_PAUSE);
        }
    }

    fn reap(&mut self) -> usize {
        let mut count = 0;
        for done in self.uring.completion() {
            if done.user_data() == ALARM {
                self.alarm = Alarm::Fired;
                continue;
            }
            count += 1;
            let slot = done.user_data() as u32;
            let ended = std::mem::replace(&mut self.slots[slot as usize], Slot::Free);
            self.pending -= 1;
            let Slot::Pending { buffer, waiter, .. } = ended else {
                unreachable!("a completion belongs to a pending slot")
            };
            let result = completion_result(done.result());
            self.slots[slot as usize] = match waiter {
                Waiter::Dropped => {
                    self.free.push(slot);
                    continue;
                }
                Waiter::NotPolled => Slot::Done(result, buffer),
                Waiter::Task(waker) => {
                    self.woken.push(waker);
                    Slot::Done(result, buffer)
                }
            };
        }
        count
    }
}

/// Converts the result of a completion: a length, or a negated errno.
fn completion_result(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

impl Drop for Ring {
    fn drop(&mut self) {
        for slot in &self.inner.get_mut().slots {
            if let Slot::Pending { file, .. } = slot {
                file.interrupt();
            }
        }
        for _ in 0..DRAIN_TICKS_MAX {
            if self.inner.get_mut().pending == 0 {
                break;
            }
            self.set_alarm(DRAIN_WAIT);
            self.enter(true);
            self.reap();
        }
        let inner = self.inner.get_mut();
        if inner.pending > 0 {
            // Leak the slots before anything else: the kernel may still write to their buffers.
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

/// One operation; resolves to its result and the buffer. Dropping it discards the result; the
/// buffer stays in its slot as long as the kernel needs it.
pub(super) struct Operation {
    ring: Rc<Ring>,
    slot: Option<u32>,
}

impl Future for Operation {
    type Output = Completion<Buffer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let slot = self.slot.expect("polled after its end") as usize;
        let mut inner = self.ring.inner.borrow_mut();
        match &mut inner.slots[slot] {
            Slot::Pending { waiter, .. } => {
                match waiter {
                    Waiter::Task(waker) => waker.clone_from(cx.waker()),
                    other => *other = Waiter::Task(cx.waker().clone()),
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
            Slot::Pending { waiter, .. } => *waiter = Waiter::Dropped,
            done => {
                *done = Slot::Free;
                inner.free.push(slot);
            }
        }
    }
}

/// Logs an event. The program's subscriber may panic, which must not end a ring.
fn log(event: impl FnOnce()) {
    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(event)) {
        // Dropping the payload might panic as well.
        std::mem::forget(panic);
    }
}
