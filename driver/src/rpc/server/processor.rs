//! Processes requests: taken in on the shard, executed by workers, answered.
//!
//! A server executes a request at most once, so it acknowledges before it executes. While few
//! requests wait, the shard acknowledges on receipt, as oslo does; beyond [`BACKLOG_MAX`], or the
//! bytes that may wait, a worker acknowledges when it takes the request up, and the prefetch stops
//! RabbitMQ. A message that is no request is rejected and not requeued. One that looks like a
//! request and cannot be decoded was acknowledged already, and is dropped. A server that stops
//! returns what is not acknowledged to its queue; what came from a queue that goes with the server
//! is executed instead.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use leveret_engine::{Delivery, Disposition};
use tracing::{Instrument, Span};

use crate::codec::encoded::Encoded;
use crate::config::options::acknowledgements::RequestAcks;
use crate::config::options::dialects::Redelivered;
use crate::dialect::error::DecodeError;
use crate::dialect::format::WireFormat;
use crate::dialect::replies::ReplyAddress;
use crate::dialect::wire::Wire;
use crate::error::failure::{Failure, NO_SUCH_METHOD};
use crate::message::IncomingRequest;
use crate::message::context::Context;
use crate::message::ids::Hex32;
use crate::message::serializer::Serializer;
use crate::observe::intake::IntakeRecorder;
use crate::observe::metrics::IntakeMetrics;
use crate::observe::spans;
use crate::rpc::serialized;
use crate::rpc::server::dispatcher::Dispatcher;
use crate::rpc::server::failure_log::FailureLog;
use crate::rpc::server::heartbeat::Heartbeat;
use crate::rpc::server::incoming_delivery::IncomingDelivery;
use crate::rpc::server::method::{ErasedResult, Method, MethodResult, RegisteredMethod, panicked};
use crate::rpc::server::stats::ServerStats;
use crate::runtime::dedup::DedupWindow;
use crate::runtime::executor::Executor;
use crate::runtime::panics::catch_panic;
use crate::runtime::runner::{Processor, Runner};
use crate::runtime::timer::{self, Timer};
use crate::transport::intake_limit::{IntakeLimit, Load};
use crate::transport::reply_sender::ReplySender;
use crate::transport::transport::Transport;

/// The most requests acknowledged on receipt that wait for a worker.
pub(super) const BACKLOG_MAX: usize = 1024;

/// As oslo: a caller of a method with such a name knows that servers may lack it.
const IGNORE_ERRORS: &str = "_ignore_errors";

/// Processes the requests of one server, on whichever thread its executor runs them.
pub(super) struct RequestProcessor {
    dispatcher: Dispatcher,
    serializer: Option<Arc<dyn Serializer>>,
    dedup: DedupWindow,
    pub(super) wire: Arc<Wire>,
    pub(super) replies: Arc<ReplySender>,
    timer: Arc<Timer>,
    pub(super) runner: Runner<Self>,
    /// What was not started goes back to its queue.
    is_returning: AtomicBool,
    pub(super) redelivered: Redelivered,
    /// How a request is acknowledged on receipt.
    pub(super) on_receipt: Disposition,
    pub(super) limit: IntakeLimit,
    /// Bytes of requests that run, where the executor runs any number of them.
    running: AtomicUsize,
    pub(super) counters: IntakeRecorder,
}

/// Counts the bytes of a request while it runs.
struct RunningRequest<'a> {
    processor: &'a RequestProcessor,
    bytes: usize,
}

impl Drop for RunningRequest<'_> {
    fn drop(&mut self) {
        self.processor.running.fetch_sub(self.bytes, Ordering::Relaxed);
        self.processor.limit.resume_if_eased(|| self.processor.load());
    }
}

/// A request whose method was chosen, and has run if it is a plain one.
struct StartedRequest<'a> {
    result: PendingResult,
    failure_log: FailureLog<'a>,
    /// Under which the result is to be serialised.
    context: Option<Context>,
    reply_to: Option<ReplyAddress>,
    heartbeat: Option<Heartbeat>,
    span: Span,
}

enum PendingResult {
    Ready(MethodResult),
    Awaited(Pin<Box<dyn Future<Output = MethodResult> + Send>>),
}

impl Processor for RequestProcessor {
    type Item = IncomingDelivery;

    async fn process(self: Arc<Self>, incoming: IncomingDelivery) {
        let _running = self.count_running(incoming.delivery.body().len());
        let Some(started) = self.start(&incoming) else { return };
        let StartedRequest { result, failure_log, context, reply_to, heartbeat, span } = started;
        drop(incoming);
        let mut result = match result {
            PendingResult::Ready(result) => result,
            PendingResult::Awaited(future) => future.instrument(span.clone()).await,
        };
        if let (Some(serializer), Some(context)) = (&self.serializer, context) {
            let serialize = |value: Box<dyn ErasedResult>| {
                serialized::serialize_result(serializer.as_ref(), &context, value.as_ref())
            };
            result = catch_panic(|| result.and_then(serialize)).unwrap_or_else(panicked);
        }
        drop(heartbeat);
        if let Err(failure) = &result {
            spans::record_failure(&span, failure);
            span.in_scope(|| failure_log.log(failure));
        }
        if let Some(to) = reply_to {
            let encode = |value: Box<dyn ErasedResult>| {
                move |body: &mut Vec<u8>, format: &WireFormat, msg_id: &str, id: Hex32| {
                    value.encode(body, format, msg_id, id)
                }
            };
            self.replies.send(to, result.map(encode)).await;
        }
    }
}

impl RequestProcessor {
    /// A processor on at most `executor_threads` threads. It remembers the ids of as many requests
    /// as may be `unacknowledged` at a time.
    pub(super) fn new(
        dispatcher: Dispatcher,
        serializer: Option<Arc<dyn Serializer>>,
        replies: Arc<ReplySender>,
        transport: &Transport,
        executor: Executor,
        unacknowledged: usize,
    ) -> Arc<Self> {
        let config = transport.config();
        let threads = config.executor_threads;
        Arc::new_cyclic(|this| Self {
            dispatcher,
            serializer,
            dedup: DedupWindow::new(unacknowledged),
            wire: Arc::clone(transport.wire()),
            replies,
            timer: Arc::clone(transport.timer()),
            runner: Runner::new(executor, threads, this.clone()),
            is_returning: AtomicBool::new(false),
            redelivered: config.redelivered,
            on_receipt: match config.request_acks {
                RequestAcks::Each => Disposition::Ack,
                RequestAcks::Together => Disposition::AckSoon,
            },
            limit: IntakeLimit::default(),
            running: AtomicUsize::new(0),
            counters: IntakeRecorder::new(&transport.counters().served),
        })
    }

    pub(super) fn load(&self) -> Load {
        let (messages, bytes) = self.counters.waiting();
        Load { messages, bytes, running: self.running.load(Ordering::Relaxed) }
    }

    /// A request no longer waits.
    fn took_up(&self, bytes: usize) {
        self.counters.remove_waiting(bytes);
        self.limit.resume_if_eased(|| self.load());
    }

    /// Counts a request as running until the result is dropped, where any number may run.
    fn count_running(&self, bytes: usize) -> Option<RunningRequest<'_>> {
        self.runner.is_unbounded().then(|| {
            self.running.fetch_add(bytes, Ordering::Relaxed);
            RunningRequest { processor: self, bytes }
        })
    }

    /// Counts a request that is refused, as a server may have executed it.
    pub(super) fn refuse(&self, delivery: &Delivery) {
        self.counters.count(|counters| &counters.refused);
        tracing::warn!(
            name: "leveret.request.refused",
            queue = delivery.routing_key(),
            "a request that was delivered before is refused"
        );
    }

    /// From now on returns requests to their queue that are neither started nor acknowledged.
    pub(super) fn return_waiting(&self) {
        self.is_returning.store(true, Ordering::Release);
        for incoming in self.runner.withdraw(IncomingDelivery::may_return) {
            self.took_up(incoming.delivery.body().len());
            self.return_one(&incoming);
        }
    }

    fn return_one(&self, incoming: &IncomingDelivery) {
        incoming.delivery.reject(true);
        self.counters.count(|counters| &counters.returned);
    }

    /// Waits until every request taken is answered.
    pub(super) async fn finish(&self) {
        self.runner.finish().await;
    }

    pub(super) fn stats(&self) -> ServerStats {
        let IntakeMetrics { done: dispatched, duplicates, undecodable, returned, .. } =
            self.counters.read();
        ServerStats { dispatched, duplicates, undecodable, returned, reconnects: 0 }
    }

    /// Decodes, acknowledges, drops repeats, chooses the method and starts it.
    fn start(&self, incoming: &IncomingDelivery) -> Option<StartedRequest<'_>> {
        let IncomingDelivery { delivery, format, is_acknowledged, expires, .. } = incoming;
        self.took_up(delivery.body().len());
        if !is_acknowledged && !delivery.is_answerable() {
            // Its connection is gone, and RabbitMQ delivers it again.
            return None;
        }
        if incoming.may_return() && self.is_returning.load(Ordering::Acquire) {
            self.return_one(incoming);
            return None;
        }
        let started = self.wire.read_request(delivery, *format, |mut request, reply_format| {
            if !is_acknowledged {
                delivery.ack();
            }
            if expires.is_some_and(|expires| expires <= timer::now()) {
                self.counters.count(|counters| &counters.expired);
                tracing::info!(
                    name: "leveret.request.expired",
                    msg_id = request.msg_id.as_deref(),
                    "a request whose caller has given up is dropped"
                );
                return None;
            }
            if request.unique_id.as_deref().is_some_and(|id| !self.dedup.insert(id)) {
                self.counters.count(|counters| &counters.duplicates);
                tracing::info!(
                    name: "leveret.request.repeated",
                    unique_id = ?request.unique_id,
                    "a repeated request is dropped"
                );
                return None;
            }
            Some(self.run(&mut request, reply_format, *expires))
        });
        started.unwrap_or_else(|error| {
            if !is_acknowledged {
                delivery.reject(false);
            }
            self.drop_unreadable(delivery, &error)
        })
    }

    /// Drops a message that is no request; a caller that waits for a reply gets the reason.
    fn drop_unreadable(
        &self,
        delivery: &Delivery,
        error: &DecodeError,
    ) -> Option<StartedRequest<'_>> {
        self.counters.count(|counters| &counters.undecodable);
        tracing::warn!(
            name: "leveret.request.undecodable",
            %error,
            "a message is no request and is dropped"
        );
        let reply_to = self.wire.reply_address_of(delivery)?;
        let failure = Failure::builtin("ValueError", format!("the server cannot read it: {error}"));
        Some(StartedRequest {
            result: PendingResult::Ready(Err(failure)),
            failure_log: FailureLog::Unserved { is_foreseen: true },
            context: None,
            reply_to: Some(reply_to),
            heartbeat: None,
            span: Span::none(),
        })
    }

    fn run(
        &self,
        request: &mut IncomingRequest<'_>,
        reply_format: WireFormat,
        expires: Option<Instant>,
    ) -> StartedRequest<'_> {
        self.counters.count(|counters| &counters.done);
        self.counters.count_format(reply_format.index());
        let reply_to = match (&request.msg_id, &request.reply_queue) {
            (Some(msg_id), Some(queue)) => {
                self.replies.address(msg_id, queue, reply_format, expires)
            }
            _ => None,
        };
        let span = spans::serve(
            request.method.as_deref(),
            request.namespace.as_deref(),
            request.msg_id.as_deref(),
            &request.context,
        );
        let timeout = request.context.client_timeout();
        let mut heartbeat = None;
        // The access policy may be the user's, as the serializer is.
        let method = catch_panic(|| self.dispatcher.find(request)).unwrap_or_else(panicked);
        if let (Ok(_), Some(to), Some(timeout)) = (&method, &reply_to, timeout) {
            heartbeat = Heartbeat::start(&self.timer, &self.replies, to, timeout);
        }
        let request_context = std::mem::take(&mut request.context);
        let args = request.args.take().unwrap_or(Encoded::json(b"{}"));
        let mut context = None;
        let (result, failure_log) = match method {
            Err(failure) => {
                let name = request.method.as_deref().unwrap_or_default();
                let is_foreseen =
                    failure.class() == NO_SUCH_METHOD && name.ends_with(IGNORE_ERRORS);
                (PendingResult::Ready(Err(failure)), FailureLog::Unserved { is_foreseen })
            }
            Ok(method) => {
                let result = span.in_scope(|| match &self.serializer {
                    None => call(method, request_context, &args),
                    Some(serializer) => {
                        let serializer = serializer.as_ref();
                        let deserialize =
                            || serialized::deserialize_request(serializer, request_context, &args);
                        match catch_panic(deserialize).unwrap_or_else(panicked) {
                            Err(failure) => PendingResult::Ready(Err(failure)),
                            Ok((own, args)) => {
                                context = Some(own.clone());
                                call(method, own, &args)
                            }
                        }
                    }
                });
                (result, FailureLog::Raised(method))
            }
        };
        StartedRequest { result, failure_log, context, reply_to, heartbeat, span }
    }
}

fn call(method: &RegisteredMethod, context: Context, args: &Encoded<'_>) -> PendingResult {
    match &method.method {
        Method::Plain(function) => PendingResult::Ready(function(context, args)),
        Method::Async(function) => PendingResult::Awaited(function(context, args)),
    }
}
