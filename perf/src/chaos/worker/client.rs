//! A client process: it sends every stream at its rate, whether or not earlier requests have ended.
//!
//! Invariant: when it ends, it has reported the end of each request. Not here: verdicts on them
//! (`verdict`).

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use leveret::{Error, Notifier, Retry, RpcClient, Target, Transport};
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::chaos::protocol::Health;
use crate::chaos::protocol::{Buffered, OK, Reporter, StreamSetup, WorkerMessage, print_line};
use crate::chaos::stream::Stream;
use crate::chaos::worker::environment::{Environment, QueueKind};
use crate::chaos::worker::health;
use crate::system::sys;

/// Most requests of a stream in flight: more than any stream sends within its deadline.
const IN_FLIGHT_MAX: usize = 20_000;

/// The sender of one stream.
enum Sender {
    Cast(RpcClient),
    CastBuffered(RpcClient),
    Call(RpcClient),
    Notify(Notifier),
}

/// Sends until `stopped`, and waits for the end of all requests.
pub(crate) async fn work(environment: &Environment, stopped: oneshot::Receiver<()>) -> Result<()> {
    let quorum = environment.connect(QueueKind::Quorum).await?;
    let classic = environment.connect(QueueKind::Classic).await?;
    let (stop, stopping) = watch::channel(false);
    let mut streams = JoinSet::new();
    for setup in &environment.setup.streams {
        let transport = if setup.stream.consumer().is_quorum() { &quorum } else { &classic };
        let load = Load {
            first_id: setup.first_id,
            pause: Duration::from_secs_f64(1.0 / environment.setup.rate),
            sender: Arc::new(Sender::new(environment, setup, transport)),
            reporter: environment.reporter.clone(),
        };
        streams.spawn(load.run(stopping.clone()));
    }
    environment.is_ready();
    let read = || Health::of(&[quorum.health(), classic.health()], &[]);
    tokio::select! {
        _ = stopped => {}
        () = health::tell(&environment.reporter, read) => {}
    }
    let _ = stop.send(true);
    while streams.join_next().await.is_some() {}
    environment.reporter.flush();
    for transport in [&quorum, &classic] {
        // A transport that does not close in time ends with the process.
        let _ = tokio::time::timeout(environment.timeout(), transport.close()).await;
    }
    let stats = quorum.stats();
    print_line(&WorkerMessage::Buffered(Buffered {
        refused: stats.casts_refused,
        lost: stats.casts_lost,
    }));
    Ok(())
}

/// One stream.
struct Load {
    first_id: u64,
    pause: Duration,
    sender: Arc<Sender>,
    reporter: Reporter,
}

impl Load {
    async fn run(self, mut stopping: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(self.pause);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut in_flight = JoinSet::new();
        for id in self.first_id.. {
            tokio::select! {
                _ = stopping.changed() => break,
                _ = tick.tick() => {}
            }
            while in_flight.try_join_next().is_some() {}
            if in_flight.len() >= IN_FLIGHT_MAX {
                continue;
            }
            let (sender, reporter) = (Arc::clone(&self.sender), self.reporter.clone());
            in_flight.spawn(async move {
                let begun = sys::monotonic_us();
                let label = sender.send(id, begun).await;
                reporter.ended(id, begun, label);
            });
        }
        while in_flight.join_next().await.is_some() {}
    }
}

impl Sender {
    fn new(environment: &Environment, setup: &StreamSetup, transport: &Transport) -> Self {
        let StreamSetup { stream, topic, .. } = setup;
        let rpc = || {
            let rpc =
                RpcClient::new(transport, Target::new(topic)).with_timeout(environment.timeout());
            if stream.is_at_most_once() { rpc.with_retry(Retry::Never) } else { rpc }
        };
        match stream {
            // The broker confirms a cast without a queue as well, unless the cast is mandatory.
            Stream::Cast | Stream::CastOnce | Stream::ClassicCast => {
                Self::Cast(rpc().with_at_least_once(true))
            }
            Stream::CastBuffered => Self::CastBuffered(rpc().with_at_least_once(true)),
            Stream::Fanout => Self::Cast(rpc().with_fanout(true)),
            Stream::Call | Stream::CallOnce | Stream::ClassicCall => Self::Call(rpc()),
            Stream::Notification | Stream::ClassicNotification => {
                let notes = Notifier::builder(transport).publisher_id("chaos").topic(topic);
                Self::Notify(notes.timeout(environment.timeout()).build())
            }
        }
    }

    /// Sends one request and returns the label of its end.
    async fn send(&self, id: u64, begun: u64) -> String {
        let args = json!({ "id": id, "begun": begun });
        let ended = match self {
            Self::Cast(rpc) => rpc.cast((), "do", &args).await,
            Self::CastBuffered(rpc) => rpc.cast_buffered((), "do", &args).await,
            Self::Notify(notes) => notes.info((), "event", &args).await,
            Self::Call(rpc) => match rpc.call::<u64>((), "do", &args).await {
                Ok(answer) if answer != id => return "another's answer".to_owned(),
                answered => answered.map(drop),
            },
        };
        ended.map_or_else(|error| label(&error), |()| OK.to_owned())
    }
}

/// The kind of an error, and the outcome of the message.
fn label(error: &Error) -> String {
    match error.outcome() {
        Some(outcome) => format!("{:?}/{outcome:?}", error.kind()),
        None => format!("{:?}", error.kind()),
    }
}
