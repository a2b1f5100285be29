//! Opens what a message needs, within the deadline of its sender.
//!
//! The first message that needs a connection, an exchange or a queue opens it. What fails because
//! RabbitMQ cannot be reached is tried again until the deadline; a refusal is final. Invariant: no
//! caller waits beyond its deadline.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use leveret_engine::TicketError;

use crate::broker::errors::transport_closed;
use crate::error::{Error, ErrorKind};
use crate::runtime::timer::{self, Timer};

/// The first pause between two attempts. Each pause is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Calls `open` until it succeeds, is refused, or `deadline` has passed. The error of the last case
/// says why the connection is down, as `why_down` returns it.
///
/// The future is boxed: futures that contain it are moved for every message, and nearly always find
/// everything open.
pub(crate) fn open_until<T, F: Future<Output = Result<T, Error>>>(
    timer: &Timer,
    deadline: Instant,
    open: impl Fn() -> F,
    why_down: impl Fn() -> Option<leveret_engine::Error>,
) -> Pin<Box<impl Future<Output = Result<T, Error>>>> {
    Box::pin(async move {
        let mut last = None;
        let trying = async {
            let mut pause = FIRST_PAUSE;
            loop {
                match open().await {
                    Err(error) if is_transient(&error) => {
                        tracing::debug!(
                            name: "leveret.opening.retried", %error, "opening is tried again"
                        );
                        last = Some(error);
                        let _ = timer.sleep(pause).await;
                        pause = (pause * 2).min(PAUSE_MAX);
                    }
                    settled => return settled,
                }
            }
        };
        match timer.timeout(timer::until(deadline), trying).await {
            Ok(settled) => settled,
            Err(TicketError::TimedOut) => Err(too_late(last, why_down())),
            Err(TicketError::Aborted) => Err(transport_closed()),
        }
    })
}

fn is_transient(error: &Error) -> bool {
    let cause = std::error::Error::source(error);
    let cause = cause.and_then(|cause| cause.downcast_ref::<leveret_engine::Error>());
    cause.is_some_and(leveret_engine::Error::is_transient)
}

fn too_late(last: Option<Error>, reason: Option<leveret_engine::Error>) -> Error {
    let text = "the broker did not open what is needed before the deadline";
    let kind = ErrorKind::MessagingTimeout;
    match (last, reason) {
        (Some(last), _) => Error::new(kind, format!("{text}: {last}")).with_cause(last),
        (None, Some(reason)) => Error::new(kind, format!("{text}: {reason}")).with_cause(reason),
        (None, None) => Error::new(kind, text),
    }
}
