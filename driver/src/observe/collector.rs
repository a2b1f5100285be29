//! Sends reports to a collector of oslo.metrics: a bounded buffer and a thread that comes and goes.
//!
//! As oslo, the thread sends each report as one datagram, tries again every second while nobody
//! listens, and ends when nothing could be sent for a while; the next report starts it again.
//! Unlike oslo, a full buffer drops its oldest report: what is recent matters more. Invariants:
//! whoever reports never waits for the socket; there is one thread at most. Not here: what a report
//! says (`report`).

use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::config::options::metrics::MetricsOptions;
use crate::runtime::timer;

/// As oslo: how long to wait before a report that could not be sent is sent again.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How long a collector that is behind may hold up the thread with one report.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The way to a collector; dropping it ends the thread, which first sends what it can at once.
#[derive(Debug)]
pub(crate) struct MetricsCollectorClient {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: MetricsOptions,
    state: Mutex<State>,
    changed: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    buffer: VecDeque<Vec<u8>>,
    is_running: bool,
    is_closed: bool,
}

impl MetricsCollectorClient {
    /// The way to the collector these options name, if they do.
    pub(crate) fn new(options: &MetricsOptions) -> Option<Self> {
        (options.enabled && options.socket_file.is_some()).then(|| {
            let shared = Shared {
                options: options.clone(),
                state: Mutex::default(),
                changed: Condvar::new(),
                dropped: AtomicU64::new(0),
            };
            Self { shared: Arc::new(shared) }
        })
    }

    /// The label `process` of its reports.
    pub(crate) fn process_name(&self) -> &str {
        &self.shared.options.process_name
    }

    /// Reports that were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Leaves a report to be sent.
    pub(crate) fn put(&self, report: Vec<u8>) {
        let shared = &self.shared;
        let mut state = shared.lock();
        if state.buffer.len() >= shared.options.buffer_size.max(1) {
            state.buffer.pop_front();
            shared.drop_one();
        }
        state.buffer.push_back(report);
        if state.is_running {
            return shared.changed.notify_one();
        }
        state.is_running = true;
        drop(state);
        let sender = Arc::clone(shared);
        let thread = std::thread::Builder::new().name("leveret-metrics".into());
        if let Err(error) = thread.spawn(move || sender.run()) {
            tracing::warn!(name: "leveret.metrics.no_thread", %error, "no thread to send metrics");
            shared.lock().is_running = false;
        }
    }
}

impl Drop for MetricsCollectorClient {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Sends until nothing could be sent for as long as the options allow.
    fn run(&self) {
        let Some(path) = self.options.socket_file.as_deref() else { return };
        let mut socket = None;
        let mut is_failing = false;
        let mut stop_at = timer::deadline_in(self.options.thread_stop_timeout);
        while let Some(report) = self.next(stop_at) {
            match send(&mut socket, path, &report) {
                Ok(()) => {
                    stop_at = timer::deadline_in(self.options.thread_stop_timeout);
                    is_failing = false;
                }
                Err(error) if Errno::from_io_error(&error) == Some(Errno::MSGSIZE) => {
                    self.drop_one();
                    tracing::warn!(
                        name: "leveret.metrics.report_dropped",
                        "a report of metrics is too large and is dropped"
                    );
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(
                            name: "leveret.metrics.not_sent",
                            %error, "metrics cannot be sent; trying every second"
                        );
                    }
                    socket = None;
                    self.put_back(report);
                    self.pause(stop_at);
                }
            }
        }
    }

    /// The next report. None when the time is up or nobody will report any more; the thread then
    /// counts as gone.
    fn next(&self, stop_at: Instant) -> Option<Vec<u8>> {
        let mut state = self.lock();
        loop {
            let left = timer::until(stop_at);
            if !left.is_zero()
                && let Some(report) = state.buffer.pop_front()
            {
                return Some(report);
            }
            if left.is_zero() || state.is_closed {
                state.is_running = false;
                return None;
            }
            state = wait(&self.changed, state, left);
        }
    }

    /// Back to its place, unless newer ones have taken it.
    fn put_back(&self, report: Vec<u8>) {
        let mut state = self.lock();
        if state.buffer.len() < self.options.buffer_size.max(1) {
            state.buffer.push_front(report);
        } else {
            drop(state);
            self.drop_one();
        }
    }

    /// Waits for a while; what cannot be sent is given up when nobody will report any more.
    fn pause(&self, stop_at: Instant) {
        let until = stop_at.min(timer::deadline_in(RETRY_DELAY));
        let mut state = self.lock();
        while !state.is_closed && !timer::until(until).is_zero() {
            state = wait(&self.changed, state, timer::until(until));
        }
        if state.is_closed {
            state.buffer.clear();
        }
    }
}

fn wait<'a>(
    changed: &Condvar,
    state: MutexGuard<'a, State>,
    timeout: Duration,
) -> MutexGuard<'a, State> {
    changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
}

/// Sends one datagram, on the socket there is or on a new one.
fn send(socket: &mut Option<UnixDatagram>, path: &Path, report: &[u8]) -> io::Result<()> {
    let connected = match socket {
        Some(connected) => connected,
        None => {
            let fresh = UnixDatagram::unbound()?;
            fresh.connect(path)?;
            fresh.set_write_timeout(Some(SEND_TIMEOUT))?;
            socket.insert(fresh)
        }
    };
    connected.send(report).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(path: &Path) -> MetricsOptions {
        MetricsOptions {
            enabled: true,
            buffer_size: 3,
            socket_file: Some(path.to_owned()),
            ..MetricsOptions::default()
        }
    }

    fn received(socket: &UnixDatagram) -> String {
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut bytes = [0; 100];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// Waits until no thread runs; a minute at most.
    fn until_it_ended(collector: &MetricsCollectorClient) {
        let deadline = timer::deadline_in(Duration::from_secs(60));
        while collector.shared.lock().is_running {
            assert!(!timer::until(deadline).is_zero(), "the thread does not end");
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_oldest_are_dropped_and_the_others_sent_once_somebody_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let collector = MetricsCollectorClient::new(&options(&path)).unwrap();
        for number in 0..10 {
            collector.put(number.to_string().into_bytes());
        }
        let socket = UnixDatagram::bind(&path).unwrap();
        let first: u64 = received(&socket).parse().unwrap();
        // The thread may hold one that it could not send, beside the three that wait.
        assert!((6..=7).contains(&first), "{first}");
        for number in first + 1..10 {
            assert_eq!(received(&socket), number.to_string());
        }
        assert_eq!(collector.dropped(), first);
    }

    #[test]
    fn the_thread_ends_when_idle_and_the_next_report_starts_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut options = options(&path);
        options.thread_stop_timeout = Duration::from_millis(20);
        let collector = MetricsCollectorClient::new(&options).unwrap();
        for round in ["one", "two"] {
            collector.put(round.into());
            assert_eq!(received(&socket), round);
            until_it_ended(&collector);
        }
    }

    #[test]
    fn what_no_datagram_holds_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        let collector = MetricsCollectorClient::new(&options(&path)).unwrap();
        collector.put(vec![b'x'; 64 << 20]);
        collector.put("small".into());
        assert_eq!(received(&socket), "small");
        assert_eq!(collector.dropped(), 1);
    }

    #[test]
    fn a_dropped_collector_ends_its_thread() {
        let folder = tempfile::tempdir().unwrap();
        let collector =
            MetricsCollectorClient::new(&options(&folder.path().join("nobody"))).unwrap();
        let shared = Arc::downgrade(&collector.shared);
        collector.put("lost".into());
        drop(collector);
        let deadline = timer::deadline_in(Duration::from_secs(60));
        while shared.strong_count() > 0 {
            assert!(!timer::until(deadline).is_zero(), "the thread does not end");
            std::thread::yield_now();
        }
    }

    #[test]
    fn nothing_is_sent_unless_asked() {
        assert!(MetricsCollectorClient::new(&MetricsOptions::default()).is_none());
    }
}
