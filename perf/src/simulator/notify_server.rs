//! `notify-server` and `batch-notify-server`: count every notification of priority info, with its
//! time of arrival.
//!
//! They end at their time limit or at a signal.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use leveret::{
    Notification, NotificationEndpoint, NotificationListener, NotificationResult, Priority, Target,
};

use super::collector::Collector;
use super::message::Message;
use super::serving;
use crate::cli::command_line::Cli;
use crate::cli::simulator::NotifyServerArgs;
use crate::system::lock::lock;
use crate::system::{clock, sys};

/// The simulator's batches.
const BATCH_SIZE: usize = 1000;
const BATCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Counts notifications, and requeues each once if asked to.
struct NotificationRecorder {
    collector: Arc<Collector>,
    pause: Option<Duration>,
    /// Numbers of requeued notifications; `None` if none are requeued.
    sent_back: Option<Mutex<HashSet<u64>>>,
}

impl NotificationRecorder {
    /// Counts a notification, or requeues it the first time.
    fn take(&self, mut message: Message) -> NotificationResult {
        if let Some(sent_back) = &self.sent_back
            && lock(sent_back).insert(message.0)
        {
            return NotificationResult::Requeue;
        }
        message.3 = clock::wall_seconds();
        self.collector.note(&message);
        if let Some(pause) = self.pause {
            std::thread::sleep(pause);
        }
        NotificationResult::Handled
    }

    /// Counts a batch, or requeues all of it if one of its notifications came the first time:
    /// oslo's listener has one answer for a batch.
    fn take_batch(&self, batch: Vec<Notification<Message>>) -> NotificationResult {
        if let Some(sent_back) = &self.sent_back {
            let mut sent_back = lock(sent_back);
            let fresh = batch.iter().filter(|one| sent_back.insert(one.payload.0)).count();
            if fresh > 0 {
                return NotificationResult::Requeue;
            }
        }
        let now = clock::wall_seconds();
        for Notification { payload: mut message, .. } in batch {
            message.3 = now;
            self.collector.note(&message);
        }
        if let Some(pause) = self.pause {
            std::thread::sleep(pause);
        }
        NotificationResult::Handled
    }
}

/// Runs the listener until its end and reports.
pub(crate) fn run(cli: &Cli, args: &NotifyServerArgs, in_batches: bool) -> Result<()> {
    sys::note_signals();
    let collector = Arc::new(Collector::new("server".to_owned()));
    let recorder = NotificationRecorder {
        collector: Arc::clone(&collector),
        pause: Duration::try_from_secs_f64(args.wait_before_answer).ok(),
        sent_back: args.requeue.then(Mutex::default),
    };
    let transport = super::broker::transport(cli)?;
    let target = Target::new(cli.simulator.topic.as_str());
    let listener = NotificationListener::builder(&transport, target).allow_requeue(args.requeue);
    let listener = if in_batches {
        let endpoint = NotificationEndpoint::new()
            .on_batch(Priority::Info, move |batch| recorder.take_batch(batch));
        listener.endpoint(endpoint).batch_size(BATCH_SIZE).batch_timeout(BATCH_TIMEOUT)
    } else {
        let take = move |one: Notification<Message>| recorder.take(one.payload);
        listener.endpoint(NotificationEndpoint::new().info(take))
    };
    let listener = listener.start_blocking()?;
    serving::last(cli, &collector, || false, || listener.wait_blocking())
}
