//! The spans of `tracing`: one for each call, cast and notification, on both ends.
//!
//! Names, target and fields are stable, and `guide::observing` lists them; fields have the names of
//! the attributes of oslo's tracing. Invariants: nothing is rendered without a subscriber that
//! enables the spans; a span never holds arguments, results or payloads. Log events are elsewhere.

use tracing::Span;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;

use crate::error::Error;
use crate::error::failure::Failure;
use crate::message::context::Context;
use crate::message::priority::Priority;
use crate::message::target::Target;

/// Creates a span with the fields common to all, and its own.
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

/// Creates the client's span of a request.
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

/// Creates the span of a call, which lasts until the call ends.
pub(crate) fn call(target: &Target, method: &str, context: &Context) -> Span {
    request_span!("call", "client", target, method, context)
}

/// Creates the span of a cast, which lasts until RabbitMQ confirms it or the outbox accepts it.
pub(crate) fn cast(target: &Target, method: &str, context: &Context) -> Span {
    request_span!("cast", "producer", target, method, context)
}

/// Creates the server's span of a request, which lasts while its method runs.
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

/// Creates the span of a notification, which lasts until all drivers have sent it.
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

/// Creates the listener's span of a notification, which lasts while an endpoint handles it. A batch
/// has one span, with the fields of its first notification.
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

/// Whether a subscriber may enable the spans; costs one atomic load.
#[inline]
pub(crate) fn is_enabled() -> bool {
    LevelFilter::current() >= LevelFilter::DEBUG
}

/// Awaits a future in a span (`Option<&Span>`), if there is one.
///
/// Wrapping a future moves it, some hundred bytes several times over, and adds a layer to each
/// poll. So without a span the future is awaited where it is made; with a span it is boxed.
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

/// Records the error of a result in its span.
pub(crate) fn record_result<T>(span: &Span, result: &Result<T, Error>) {
    if let Err(error) = result {
        record_error(span, format_args!("{:?}", error.kind()));
    }
}

/// Records the class of the exception that a method raised.
pub(crate) fn record_failure(span: &Span, failure: &Failure) {
    record_error(span, format_args!("{}", failure.class()));
}

fn record_error(span: &Span, kind: std::fmt::Arguments<'_>) {
    if !span.is_disabled() {
        span.record("error.type", tracing::field::display(kind));
        span.record("otel.status_code", "ERROR");
    }
}
