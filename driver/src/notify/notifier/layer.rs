//! Log events as notifications: oslo's `LoggingNotificationHandler`, as a layer of
//! `tracing-subscriber`.
//!
//! The thread that logs records an event, and a thread of the layer sends it, so that logging never
//! waits for a broker. Bounded: [`WAITING_MAX`] events wait; more are counted and dropped. Events
//! of this library are ignored, or a notification that fails would notify.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::error::{Error, ErrorKind};
use crate::message::priority::Priority;
use crate::notify::notifier::notifier::Notifier;

/// The most events that wait to be sent; about a second of a service that logs much.
const WAITING_MAX: usize = 1024;

/// The prefix of the targets of all events of this library and its engine.
const OWN: &str = "leveret";

/// Sends log events as notifications of type `logrecord`.
///
/// The payload has the keys of a Python log record (`name`, `levelno`, `levelname`, `msg`,
/// `pathname`, `lineno`, `funcName`, `thread`, `process`, `processName`, `exc_info`), so listeners
/// read them as those of a Python service; other fields of the event are in `extra`. The priority
/// is the level's; a field `priority` naming another (`critical`, `audit`, `sample`) wins. Filter
/// events by level with `with_filter`.
///
/// ```
/// use leveret::{NotificationDriver, NotificationLayer, Notifier, TestNotifications, Transport};
/// use tracing_subscriber::prelude::*;
///
/// # fn main() -> Result<(), leveret::Error> {
/// let transport = Transport::connect_blocking("fake://")?;
/// let seen = TestNotifications::default();
/// let driver = NotificationDriver::Test(seen.clone());
/// let notifier = Notifier::builder(&transport).publisher_id("compute").driver(driver).build();
/// let (layer, guard) = NotificationLayer::new(notifier)?;
/// let subscriber = tracing_subscriber::registry().with(layer);
/// tracing::subscriber::with_default(subscriber, || tracing::warn!(disk = 7, "nearly full"));
/// drop(guard); // sends what waits
/// let record = &seen.take()[0].payload;
/// assert_eq!((&record["msg"], &record["extra"]["disk"]), (&"nearly full".into(), &7.into()));
/// transport.close_blocking()
/// # }
/// ```
#[derive(Debug)]
pub struct NotificationLayer {
    records: SyncSender<Entry>,
    dropped: Arc<AtomicU64>,
}

/// Ends the thread of a [`NotificationLayer`] when it is dropped, and blocks until the events that
/// wait are sent. Async code calls [`finish`](Self::finish).
#[derive(Debug)]
#[must_use = "dropping it ends the sending of events"]
pub struct NotificationLayerGuard {
    records: SyncSender<Entry>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// The thread sends what waits already, and ends.
    is_ending: Arc<AtomicBool>,
    /// Resolves when the thread has ended.
    ended: oneshot::Receiver<()>,
    dropped: Arc<AtomicU64>,
}

/// A message to the thread.
enum Entry {
    Record(Priority, Value),
    End,
}

impl NotificationLayer {
    /// Creates a layer that sends through `notifier`, and the guard of its thread.
    ///
    /// # Errors
    /// `TransportDriverError` when no thread can be started.
    pub fn new(notifier: Notifier) -> Result<(Self, NotificationLayerGuard), Error> {
        let (records, waiting) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("leveret-log".into());
        let (running, ended) = oneshot::channel();
        let is_ending = Arc::new(AtomicBool::new(false));
        let is_told = Arc::clone(&is_ending);
        let work = move || {
            leveret_engine::block_signals();
            let _running: oneshot::Sender<()> = running;
            send(&notifier, &waiting, &is_told);
        };
        let thread = thread.spawn(work).map_err(|error| {
            let text = format!("the thread that sends log events cannot be started: {error}");
            Error::new(ErrorKind::TransportDriverError, text).with_cause(error)
        })?;
        let dropped = Arc::new(AtomicU64::new(0));
        let guard = NotificationLayerGuard {
            records: records.clone(),
            thread: Some(thread),
            is_ending,
            ended,
            dropped: Arc::clone(&dropped),
        };
        Ok((Self { records, dropped }, guard))
    }
}

impl NotificationLayerGuard {
    /// Events that were not sent because too many waited.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Ends the thread, for async code: resolves when the events that wait are sent, and blocks no
    /// thread. If the future is dropped, the thread ends by itself.
    pub async fn finish(mut self) {
        let thread = self.thread.take();
        self.is_ending.store(true, Ordering::Release);
        // If there is no room, the thread is sending, and checks the flag after each event.
        let _ = self.records.try_send(Entry::End);
        let _ = (&mut self.ended).await;
        // The thread has finished.
        let _ = thread.map(std::thread::JoinHandle::join);
    }
}

impl Drop for NotificationLayerGuard {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The thread reads until it finds this entry, so there will be room.
            let _ = self.records.send(Entry::End);
            let _ = thread.join();
        }
    }
}

fn send(notifier: &Notifier, waiting: &Receiver<Entry>, is_ending: &AtomicBool) {
    let send_one = |priority, record: &Value| {
        // The notifier itself logs failures.
        let _ = notifier.notify_blocking(priority, (), "logrecord", record);
    };
    while let Ok(Entry::Record(priority, record)) = waiting.recv() {
        send_one(priority, &record);
        if is_ending.load(Ordering::Acquire) {
            // Only what waits now: more may arrive meanwhile.
            for entry in waiting.try_iter().take(WAITING_MAX) {
                let Entry::Record(priority, record) = entry else { break };
                send_one(priority, &record);
            }
            return;
        }
    }
}

impl<S: Subscriber> Layer<S> for NotificationLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if metadata.target().starts_with(OWN) {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (priority, number, name) = python_level(*metadata.level());
        let asked =
            fields.extra.get("priority").and_then(Value::as_str).and_then(|p| p.parse().ok());
        let record = json!({
            "name": metadata.target(),
            "levelno": number,
            "levelname": name,
            "msg": fields.message,
            "pathname": metadata.file(),
            "lineno": metadata.line(),
            "funcName": metadata.module_path(),
            "thread": std::thread::current().name(),
            "process": std::process::id(),
            "processName": "MainProcess",
            "exc_info": null,
            "extra": fields.extra,
        });
        if self.records.try_send(Entry::Record(asked.unwrap_or(priority), record)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Python's names and numbers of a level, and the priority that has a method of that name.
const fn python_level(level: Level) -> (Priority, u8, &'static str) {
    match level {
        Level::ERROR => (Priority::Error, 40, "ERROR"),
        Level::WARN => (Priority::Warn, 30, "WARNING"),
        Level::INFO => (Priority::Info, 20, "INFO"),
        Level::DEBUG | Level::TRACE => (Priority::Debug, 10, "DEBUG"),
    }
}

/// The fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    extra: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.extra.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" { self.message = text } else { self.put(field, text.into()) }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.to_owned();
        } else {
            self.put(field, value.into());
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}
