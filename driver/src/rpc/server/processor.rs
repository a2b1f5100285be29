//! What happens to a request: taken in on the shard, executed elsewhere, answered.
//!
//! A request is acknowledged before it is executed, so it is executed at most once by us. While few
//! requests wait, the shard acknowledges on receipt, as oslo does; beyond [`BACKLOG_MAX`], or the
//! bytes that may wait, a worker does when it takes the request up, and the prefetch stops the
//! broker. What is no request is rejected and not requeued. One that is an envelope from outside
//! and broken within was acknowledged already, and is dropped. A server that stops returns what is
//! not acknowledged, so nobody's request is lost in its backlog; what came from a queue that goes
//! with the server is executed instead.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use leveret_engine::Delivery;
use tracing::{Instrument, Span};

use crate::codec::encoded::Encoded;
use crate::codec::serialization::BodySerializer;
use crate::config::Redelivered;
use crate::dialect::DecodeError;
use crate::error::failure::{Failure, NO_SUCH_METHOD};
use crate::ids::Hex32;
use crate::message::IncomingRequest;
use crate::message::context::Context;
use crate::message::form::WireFormat;
use crate::message::serializer::Serializer;
use crate::observe::intake::IntakeRecorder;
use crate::observe::metrics::IntakeMetrics;
use crate::observe::spans;
use crate::rpc::serialized;
use crate::rpc::server::dispatcher::Dispatcher;
use crate::rpc::server::endpoint::{
    ErasedResult, Method, MethodResult, RegisteredMethod, panicked,
};
use crate::rpc::server::heartbeat::Heartbeat;
use crate::rpc::server::incoming::IncomingDelivery;
use crate::rpc::server::stats::ServerStats;
use crate::runtime::dedup::Dedup;
use crate::runtime::executor::Executor;
use crate::runtime::panics::caught;
use crate::runtime::runner::{Runner, Serve};
use crate::runtime::timer;
use crate::runtime::timer::Timer;
use crate::transport::incoming;
use crate::transport::intake_limit::{IntakeLimit, Load};
use crate::transport::reply_sender::{ReplyAddress, ReplySender};
use crate::transport::transport::Transport;

/// Requests acknowledged on receipt that may wait for a worker.
pub(crate) const BACKLOG_MAX: usize = 1024;

/// What serves requests, wherever it runs.
pub(crate) struct RequestProcessor {
    dispatcher: Dispatcher,
    serializer: Option<Arc<dyn Serializer>>,
    dedup: Dedup,
    pub(crate) answering: Arc<ReplySender>,
    timer: Arc<Timer>,
    pub(crate) runner: Runner<Self>,
    /// What was not begun goes back to its queue.
    is_returning: AtomicBool,
    pub(crate) redelivered: Redelivered,
    /// Serialisations that are understood besides JSON and msgpack.
    pub(crate) serializers: Vec<Arc<dyn BodySerializer>>,
    pub(crate) limit: IntakeLimit,
    /// Bytes of requests that run, if any number of them may.
    running: AtomicUsize,
    pub(crate) tally: IntakeRecorder,
}

/// One of the requests that run.
struct RunningRequest<'a> {
    serving: &'a RequestProcessor,
    bytes: usize,
}

impl Drop for RunningRequest<'_> {
    fn drop(&mut self) {
        self.serving.running.fetch_sub(self.bytes, Ordering::Relaxed);
        self.serving.limit.resume_if_eased(|| self.serving.load());
    }
}

/// A request whose method was chosen, and has run if it is a plain one.
struct StartedRequest<'a> {
    answered: Running,
    raising: FailureLog<'a>,
    /// Under which the result is to be serialised.
    context: Option<Context>,
    call: Option<ReplyAddress>,
    heartbeat: Option<Heartbeat>,
    span: Span,
}

/// What is known beforehand about an exception.
enum FailureLog<'a> {
    /// It is the method's.
    By(&'a RegisteredMethod),
    /// There is no method to serve the request, and its caller foresaw that or not.
    Unserved { is_foreseen: bool },
}

/// As oslo: who calls a method of such a name knows that servers may lack it.
const IGNORE_ERRORS: &str = "_ignore_errors";

enum Running {
    Done(MethodResult),
    Awaited(Pin<Box<dyn Future<Output = MethodResult> + Send>>),
}

impl Serve for RequestProcessor {
    type Item = IncomingDelivery;

    async fn serve(self: Arc<Self>, incoming: IncomingDelivery) {
        let _running = self.running(incoming.delivery.body().len());
        let Some(begun) = self.begin(&incoming) else { return };
        let StartedRequest { answered, raising, context, call, heartbeat, span } = begun;
        drop(incoming);
        let mut answered = match answered {
            Running::Done(answered) => answered,
            Running::Awaited(future) => future.instrument(span.clone()).await,
        };
        if let (Some(serializer), Some(context)) = (&self.serializer, context) {
            let given = |answer: Box<dyn ErasedResult>| {
                serialized::given(serializer.as_ref(), &context, answer.as_ref())
            };
            answered = caught(|| answered.and_then(given)).unwrap_or_else(panicked);
        }
        drop(heartbeat);
        if let Err(failure) = &answered {
            spans::raised(&span, failure);
            span.in_scope(|| raising.log(failure));
        }
        if let Some(call) = call {
            let encode = |value: Box<dyn ErasedResult>| {
                move |body: &mut Vec<u8>, form: &WireFormat, msg_id: &str, id: Hex32| {
                    value.encode(body, form, msg_id, id)
                }
            };
            self.answering.answer(call, answered.map(encode)).await;
        }
    }
}

impl RequestProcessor {
    /// What serves with at most so many threads; so many requests may be `unacknowledged` here.
    pub(crate) fn new(
        dispatcher: Dispatcher,
        serializer: Option<Arc<dyn Serializer>>,
        answering: Arc<ReplySender>,
        transport: &Transport,
        executor: Executor,
        unacknowledged: usize,
    ) -> Arc<Self> {
        let config = transport.config();
        let threads = config.executor_threads;
        Arc::new_cyclic(|serving| Self {
            dispatcher,
            serializer,
            dedup: Dedup::holding(unacknowledged),
            answering,
            timer: Arc::clone(transport.timer()),
            runner: Runner::new(executor, threads, serving.clone()),
            is_returning: AtomicBool::new(false),
            redelivered: config.redelivered,
            serializers: config.pika.serializers.clone(),
            limit: IntakeLimit::default(),
            running: AtomicUsize::new(0),
            tally: IntakeRecorder::new(&transport.counters().served),
        })
    }

    /// What bounds how much waits.
    pub(crate) const fn limit(&self) -> &IntakeLimit {
        &self.limit
    }

    pub(crate) fn load(&self) -> Load {
        let (messages, bytes) = self.tally.waiting();
        Load { messages, bytes, running: self.running.load(Ordering::Relaxed) }
    }

    /// A request waits no longer.
    fn took_up(&self, bytes: usize) {
        self.tally.took_up(bytes);
        self.limit.resume_if_eased(|| self.load());
    }

    /// A request runs until this is dropped, if any number of them may.
    fn running(&self, bytes: usize) -> Option<RunningRequest<'_>> {
        self.runner.is_unbounded().then(|| {
            self.running.fetch_add(bytes, Ordering::Relaxed);
            RunningRequest { serving: self, bytes }
        })
    }

    /// Somebody may have executed it.
    pub(crate) fn refuse(&self, delivery: &Delivery) {
        self.tally.count(|taken| &taken.refused);
        tracing::warn!(
            name: "leveret.request.refused",
            queue = delivery.routing_key(),
            "a request that was delivered before is refused"
        );
    }

    /// Returns what nobody has begun or acknowledged to its queue, from now on.
    pub(crate) fn give_back(&self) {
        self.is_returning.store(true, Ordering::Release);
        for incoming in self.runner.withdraw(IncomingDelivery::may_return) {
            self.took_up(incoming.delivery.body().len());
            self.return_one(&incoming);
        }
    }

    fn return_one(&self, incoming: &IncomingDelivery) {
        incoming.delivery.reject(true);
        self.tally.count(|taken| &taken.returned);
    }

    /// Waits until every request taken is answered.
    pub(crate) async fn finish(&self) {
        self.runner.finish().await;
    }

    pub(crate) fn stats(&self) -> ServerStats {
        let IntakeMetrics { done: dispatched, duplicates, undecodable, returned, .. } =
            self.tally.own();
        ServerStats { dispatched, duplicates, undecodable, returned, reconnects: 0 }
    }

    /// Decodes, acknowledges, looks for repeats, chooses the method and begins it.
    fn begin(&self, incoming: &IncomingDelivery) -> Option<StartedRequest<'_>> {
        let IncomingDelivery { delivery, dialect, is_acknowledged, expires, .. } = incoming;
        self.took_up(delivery.body().len());
        if !is_acknowledged && !delivery.is_answerable() {
            // The connection it came through is gone, and the broker gives it to somebody again.
            return None;
        }
        if incoming.may_return() && self.is_returning.load(Ordering::Acquire) {
            self.return_one(incoming);
            return None;
        }
        let begun = incoming::with_request(delivery, *dialect, &self.serializers, |mut request| {
            if !is_acknowledged {
                delivery.ack();
            }
            if expires.is_some_and(|expires| expires <= timer::now()) {
                self.tally.count(|taken| &taken.expired);
                tracing::info!(
                    name: "leveret.request.expired",
                    msg_id = request.msg_id.as_deref(),
                    "a request whose caller has given up is dropped"
                );
                return None;
            }
            if request.unique_id.as_deref().is_some_and(|id| !self.dedup.is_first(id)) {
                self.tally.count(|taken| &taken.duplicates);
                tracing::info!(
                    name: "leveret.request.repeated",
                    unique_id = ?request.unique_id,
                    "a repeated request is dropped"
                );
                return None;
            }
            Some(self.run(&mut request, *expires))
        });
        begun.unwrap_or_else(|error| {
            if !is_acknowledged {
                delivery.reject(false);
            }
            self.unreadable(delivery, &error)
        })
    }

    /// What is no request is dropped; whoever waits for an answer is told so.
    fn unreadable(&self, delivery: &Delivery, error: &DecodeError) -> Option<StartedRequest<'_>> {
        self.tally.count(|taken| &taken.undecodable);
        tracing::warn!(
            name: "leveret.request.undecodable",
            %error,
            "a message is no request and is dropped"
        );
        let call = incoming::sender_of(delivery, &self.serializers)?;
        let failure = Failure::builtin("ValueError", format!("the server cannot read it: {error}"));
        Some(StartedRequest {
            answered: Running::Done(Err(failure)),
            raising: FailureLog::Unserved { is_foreseen: true },
            context: None,
            call: Some(call),
            heartbeat: None,
            span: Span::none(),
        })
    }

    fn run(
        &self,
        request: &mut IncomingRequest<'_>,
        expires: Option<Instant>,
    ) -> StartedRequest<'_> {
        self.tally.count(|taken| &taken.done);
        self.tally.count(match request.form {
            WireFormat::Kombu => |taken| &taken.of_kombu,
            WireFormat::Pika(_) => |taken| &taken.of_pika,
            WireFormat::Both => |taken| &taken.of_both,
        });
        let form = std::mem::take(&mut request.form);
        let call = match (&request.msg_id, &request.reply_queue) {
            (Some(msg_id), Some(queue)) => self.answering.caller(msg_id, queue, form, expires),
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
        let method = caught(|| self.dispatcher.find(request)).unwrap_or_else(panicked);
        if let (Ok(_), Some(call), Some(timeout)) = (&method, &call, timeout) {
            heartbeat = Heartbeat::start(&self.timer, &self.answering, call, timeout);
        }
        let request_context = std::mem::take(&mut request.context);
        let args = request.args.take().unwrap_or(Encoded::json(b"{}"));
        let mut context = None;
        let (answered, raising) = match method {
            Err(failure) => {
                let name = request.method.as_deref().unwrap_or_default();
                let is_foreseen =
                    failure.class() == NO_SUCH_METHOD && name.ends_with(IGNORE_ERRORS);
                (Running::Done(Err(failure)), FailureLog::Unserved { is_foreseen })
            }
            Ok(offer) => {
                let running = span.in_scope(|| match &self.serializer {
                    None => start(offer, request_context, &args),
                    Some(serializer) => {
                        let serializer = serializer.as_ref();
                        let taken = || serialized::taken(serializer, request_context, &args);
                        match caught(taken).unwrap_or_else(panicked) {
                            Err(failure) => Running::Done(Err(failure)),
                            Ok((own, args)) => {
                                context = Some(own.clone());
                                start(offer, own, &args)
                            }
                        }
                    }
                });
                (running, FailureLog::By(offer))
            }
        };
        StartedRequest { answered, raising, context, call, heartbeat, span }
    }
}

fn start(offer: &RegisteredMethod, context: Context, args: &Encoded<'_>) -> Running {
    match &offer.method {
        Method::Plain(function) => Running::Done(function(context, args)),
        Method::Async(function) => Running::Awaited(function(context, args)),
    }
}

impl FailureLog<'_> {
    /// Says what was raised: loudly, with its traceback, unless it was to be expected.
    fn log(&self, failure: &Failure) {
        let traceback = || failure.traceback().concat();
        match self {
            Self::By(offer) if offer.expects(failure) => {
                tracing::debug!(
                    name: "leveret.request.failed_as_expected",
                    method = %offer.name, %failure, "an expected exception"
                );
            }
            Self::By(offer) => tracing::error!(
                name: "leveret.request.failed",
                method = %offer.name, %failure, traceback = traceback(),
                "Exception during message handling"
            ),
            Self::Unserved { is_foreseen: true } => tracing::debug!(
                name: "leveret.request.unserved", %failure, "nobody serves it"
            ),
            Self::Unserved { is_foreseen: false } => {
                tracing::error!(
                    name: "leveret.request.unserved", %failure, "nobody serves a request"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    use super::*;
    use crate::rpc::server::endpoint::Endpoint;

    /// Keeps the level of each event.
    #[derive(Default)]
    struct Levels(Mutex<Vec<Level>>);

    struct Shared(Arc<Levels>);

    impl Subscriber for Shared {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            self.0.0.lock().unwrap().push(*event.metadata().level());
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn what_was_to_be_expected_is_said_quietly() {
        let endpoint = Endpoint::new()
            .method("find", |_: Context, (): ()| Ok::<_, Failure>(()))
            .expecting(["KeyError"]);
        let levels = Arc::new(Levels::default());
        tracing::subscriber::with_default(Shared(Arc::clone(&levels)), || {
            let raising = FailureLog::By(endpoint.find("find").unwrap());
            raising.log(&Failure::builtin("KeyError", "k"));
            raising.log(&Failure::builtin("ValueError", "v"));
            let missing = Failure::no_such_method("x");
            FailureLog::Unserved { is_foreseen: true }.log(&missing);
            FailureLog::Unserved { is_foreseen: false }.log(&missing);
        });
        let levels = levels.0.lock().unwrap();
        assert_eq!(*levels, [Level::DEBUG, Level::ERROR, Level::DEBUG, Level::ERROR]);
    }
}
