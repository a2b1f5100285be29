//! The spans of `tracing`: one for each call, cast and notification, on both ends.
//!
//! Names, target and fields are stable, and listed for users in `guide::observing`; fields are
//! named as oslo's tracing names its attributes. Invariant: without a subscriber that wants them
//! nothing is rendered, and a span never holds arguments, results or payloads. Not here: events.

use tracing::Span;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;

use crate::error::Error;
use crate::error::failure::Failure;
use crate::message::context::Context;
use crate::message::priority::Priority;
use crate::message::target::Target;

/// A span with the fields all have, and its own.
macro_rules! span {
    ($name:literal, $kind:literal, $context:expr, $($field:tt)*) => {
        tracing::debug_span!(
            target: "leveret::trace",
            $name,
            otel.kind = $kind,
            otel.status_code = Empty,
            error.type = Empty,
            messaging.system = "rabbitmq",
            messaging.operation = $name,
            openstack.request_id = $context.get("request_id").and_then(|id| id.as_str()),
            traceparent = $context.traceparent_text(),
            $($field)*
        )
    };
}

/// The span of a request on its client's side.
macro_rules! request_span {
    ($name:literal, $kind:literal, $target:expr, $method:expr, $context:expr) => {{
        let (topic, method) = ($target.topic().unwrap_or_default(), $method);
        span!(
            $name,
            $kind,
            $context,
            otel.name = format_args!("{topic}.{method}"),
            messaging.destination.name = topic,
            rpc.method = method,
            rpc.service = $target.namespace(),
        )
    }};
}

/// A call, from its begin to its end.
pub(crate) fn call(target: &Target, method: &str, context: &Context) -> Span {
    request_span!("call", "client", target, method, context)
}

/// A cast, until it was confirmed or taken into the outbox.
pub(crate) fn cast(target: &Target, method: &str, context: &Context) -> Span {
    request_span!("cast", "producer", target, method, context)
}

/// A request on its server, while its method runs.
pub(crate) fn serve(
    method: Option<&str>,
    service: Option<&str>,
    msg_id: Option<&str>,
    context: &Context,
) -> Span {
    let name = method.unwrap_or("unknown");
    span!(
        "serve",
        "server",
        context,
        otel.name = format_args!("{name} receive"),
        rpc.method = method,
        rpc.service = service,
        messaging.message.id = msg_id,
    )
}

/// A notification, until all drivers have it.
pub(crate) fn notify(event_type: &str, priority: Priority, context: &Context) -> Span {
    span!(
        "notify",
        "producer",
        context,
        otel.name = format_args!("{event_type} notify"),
        event_type,
        priority = priority.as_str(),
    )
}

/// Notifications at an endpoint of a listener; of a batch the first one's.
pub(crate) fn hear(event_type: &str, priority: Priority, count: usize, context: &Context) -> Span {
    span!(
        "hear",
        "consumer",
        context,
        otel.name = format_args!("{event_type} receive"),
        event_type,
        priority = priority.as_str(),
        messaging.batch.message_count = count as u64,
    )
}

/// False where no subscriber wants any of them; one load.
#[inline]
pub(crate) fn is_enabled() -> bool {
    LevelFilter::current() >= LevelFilter::DEBUG
}

/// Awaits a future in a span (`Option<&Span>`), if there is one.
///
/// A future that is wrapped is moved, some hundred bytes several times over, and one that awaits it
/// for its caller is polled with it. So without a span it is awaited where it is made; with one, it
/// is made on the heap.
macro_rules! instrument {
    ($span:expr, $future:expr) => {
        match $span {
            None => $future.await,
            Some(span) => {
                let span: tracing::Span = span.clone();
                tracing::Instrument::instrument(Box::pin($future), span).await
            }
        }
    };
}
pub(crate) use instrument;

/// Notes how what a span stands for ended.
pub(crate) fn record_result<T>(span: &Span, result: &Result<T, Error>) {
    if let Err(error) = result {
        record_error(span, format_args!("{:?}", error.kind()));
    }
}

/// Notes the class of what a method raised.
pub(crate) fn record_failure(span: &Span, failure: &Failure) {
    record_error(span, format_args!("{}", failure.class()));
}

fn record_error(span: &Span, kind: std::fmt::Arguments<'_>) {
    if !span.is_disabled() {
        span.record("error.type", tracing::field::display(kind));
        span.record("otel.status_code", "ERROR");
    }
}
