//! Sends reports to a collector of oslo.metrics, through a bounded buffer and a thread.
//!
//! As in oslo, the thread sends each report as one datagram, tries again every second while no
//! collector listens, and ends when it could send nothing for `metrics_thread_stop_timeout`; the
//! next report starts it again. Unlike oslo, a full buffer drops its oldest report, because recent
//! reports matter more. Invariants: `put` never waits for the socket; there is at most one thread.
//! `report` writes the reports.

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

/// Delay before a report that could not be sent is sent again; as in oslo.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Time that one send may block while the collector's socket buffer is full.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends reports to one collector. Dropping it ends the thread, which first sends the buffered
/// reports as long as no send fails.
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
    /// Creates the client of the collector that the options name. Returns `None` if metrics are
    /// disabled or no socket is configured.
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

    /// Returns the label `process` of its reports.
    pub(crate) fn process_name(&self) -> &str {
        &self.shared.options.process_name
    }

    /// Returns the number of dropped reports.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Buffers a report, and starts the thread if it is not running.
    pub(crate) fn put(&self, report: Vec<u8>) {
        let shared = &self.shared;
        let mut state = shared.lock();
        if state.buffer.len() >= shared.options.buffer_size.max(1) {
            state.buffer.pop_front();
            shared.count_dropped();
        }
        state.buffer.push_back(report);
        if state.is_running {
            return shared.changed.notify_one();
        }
        state.is_running = true;
        drop(state);
        let sender = Arc::clone(shared);
        let thread = std::thread::Builder::new().name("leveret-metrics".into());
        let work = move || {
            leveret_engine::block_signals();
            sender.run();
        };
        if let Err(error) = thread.spawn(work) {
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

    fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// The body of the thread: sends reports until it could send nothing for
    /// `metrics_thread_stop_timeout`.
    fn run(&self) {
        let Some(path) = self.options.socket_file.as_deref() else { return };
        let mut socket = None;
        let mut is_failing = false;
        let mut stop_at = timer::deadline_in(self.options.thread_stop_timeout);
        while let Some(report) = self.next_report(stop_at) {
            match send(&mut socket, path, &report) {
                Ok(()) => {
                    stop_at = timer::deadline_in(self.options.thread_stop_timeout);
                    is_failing = false;
                }
                Err(error) if Errno::from_io_error(&error) == Some(Errno::MSGSIZE) => {
                    self.count_dropped();
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
                    self.wait_to_retry(stop_at);
                }
            }
        }
    }

    /// Waits for the next report. Returns `None` at `stop_at`, or when the client was dropped and
    /// the buffer is empty; the thread then counts as ended.
    fn next_report(&self, stop_at: Instant) -> Option<Vec<u8>> {
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

    /// Puts a report back at the front of the buffer, or drops it if newer reports fill the buffer.
    fn put_back(&self, report: Vec<u8>) {
        let mut state = self.lock();
        if state.buffer.len() < self.options.buffer_size.max(1) {
            state.buffer.push_front(report);
        } else {
            drop(state);
            self.count_dropped();
        }
    }

    /// Waits for [`RETRY_DELAY`], or until `stop_at` or the drop of the client. After a drop it
    /// discards the buffer.
    fn wait_to_retry(&self, stop_at: Instant) {
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

/// Sends one datagram, on the open socket or on a new one.
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

    /// Waits until no thread runs, for at most a minute.
    fn wait_for_end(collector: &MetricsCollectorClient) {
        let deadline = timer::deadline_in(Duration::from_secs(60));
        while collector.shared.lock().is_running {
            assert!(!timer::until(deadline).is_zero(), "the thread does not end");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_full_buffer_drops_the_oldest_reports_and_sends_the_rest_once_a_collector_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let collector = MetricsCollectorClient::new(&options(&path)).unwrap();
        for number in 0..10 {
            collector.put(number.to_string().into_bytes());
        }
        let socket = UnixDatagram::bind(&path).unwrap();
        let first: u64 = received(&socket).parse().unwrap();
        // The thread may hold one report that it could not send, besides the three buffered.
        assert!((6..=7).contains(&first), "{first}");
        for number in first + 1..10 {
            assert_eq!(received(&socket), number.to_string());
        }
        assert_eq!(collector.dropped(), first);
    }

    #[test]
    fn an_idle_thread_ends_and_the_next_report_starts_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut options = options(&path);
        options.thread_stop_timeout = Duration::from_millis(20);
        let collector = MetricsCollectorClient::new(&options).unwrap();
        for round in ["one", "two"] {
            collector.put(round.into());
            assert_eq!(received(&socket), round);
            wait_for_end(&collector);
        }
    }

    #[test]
    fn a_report_too_large_for_a_datagram_is_dropped_and_the_next_is_sent() {
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
    fn dropping_the_client_ends_its_thread() {
        let folder = tempfile::tempdir().unwrap();
        let collector =
            MetricsCollectorClient::new(&options(&folder.path().join("absent"))).unwrap();
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
    fn metrics_are_disabled_by_default() {
        assert!(MetricsCollectorClient::new(&MetricsOptions::default()).is_none());
    }
}
