//! A cast: a request without an answer.
//!
//! `cast` returns when the broker has the message, `cast_buffered` when this process has accepted
//! it. Neither says that a server executes it. The two differ in a [`CastMode`] alone.

use std::time::Instant;

use leveret_engine::Confirm;
use serde::Serialize;

use crate::broker::errors;
use crate::broker::publish::body::Body;
use crate::error::{Error, Outcome};
use crate::message::context::Context;
use crate::observe::spans;
use crate::rpc::client::call_observer::CallObserver;
use crate::rpc::client::client::RpcClient;
use crate::rpc::client::destination::{AddressChoice, Destination, RetryDecision};
use crate::rpc::client::open_destination::RequestKind;
use crate::runtime::timer;

/// What a cast waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CastMode {
    /// The confirm of the broker.
    Confirmed,
    /// Room in the outbox.
    Buffered,
}

/// What became of a cast that was to be accepted without waiting.
enum Immediate {
    /// Accepted, with its confirm if the cast waits for one.
    Accepted(Option<Confirm>),
    /// To be sent by a way that may wait; with its body, if that was rendered already.
    Deferred(Option<Body>),
}

impl CastMode {
    const fn kind(self) -> RequestKind {
        match self {
            Self::Confirmed => RequestKind::Cast,
            Self::Buffered => RequestKind::BufferedCast,
        }
    }
}

impl RpcClient {
    /// Sends a request without a reply, and returns when the broker has confirmed it.
    ///
    /// With fanout it goes to every server of the topic, else to one of them or to the one named.
    ///
    /// # Errors
    /// `MessagingTimeout` when the broker did not confirm it before the timeout;
    /// `MessageDeliveryFailure` when the broker refused it, or when the connection was lost and
    /// [`Retry`](crate::Retry) allows no further address; `MessageUndeliverable` with at-least-once
    /// when no queue exists for it; `InvalidTarget`, `RpcVersionCapError` and `ClientSendError` for
    /// what cannot be sent. [`Error::outcome`] says whether the broker has the message.
    pub fn cast(
        &self,
        context: impl AsRef<Context>,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> impl Future<Output = Result<(), Error>> {
        self.cast_by(CastMode::Confirmed, context, method, args)
    }

    /// [`cast`](Self::cast) for a plain thread, which is parked meanwhile.
    ///
    /// # Errors
    /// As [`cast`](Self::cast).
    pub fn cast_blocking(
        &self,
        context: impl AsRef<Context>,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), Error> {
        leveret_engine::block_on(self.cast(context, method, args))
    }

    /// Sends a request without a reply, and returns when it is in the outbox, which the shard sends
    /// in batches. Waits only while the outbox is full, until the timeout at most.
    ///
    /// Buffered casts leave in order, by default on a connection of their own: they do not delay
    /// calls and confirmed casts, which may overtake them.
    ///
    /// What the broker refuses later is counted, and not returned as an error:
    /// [`TransportStats::casts_refused`](crate::TransportStats::casts_refused). No sender waits
    /// that could publish it again, so [`Retry::Times`](crate::Retry::Times) counts as
    /// [`Retry::Never`](crate::Retry::Never) here. With
    /// [`SendingDialect::Auto`](crate::SendingDialect::Auto) the second address depends on what the
    /// broker says of the first, so this waits for it, as [`cast`](Self::cast) does.
    ///
    /// # Errors
    /// As [`cast`](Self::cast), for what is known before it leaves.
    pub fn cast_buffered(
        &self,
        context: impl AsRef<Context>,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> impl Future<Output = Result<(), Error>> {
        self.cast_by(CastMode::Buffered, context, method, args)
    }

    /// [`cast_buffered`](Self::cast_buffered) for a plain thread, which is parked while the outbox
    /// is full.
    ///
    /// # Errors
    /// As [`cast_buffered`](Self::cast_buffered).
    pub fn cast_buffered_blocking(
        &self,
        context: impl AsRef<Context>,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), Error> {
        leveret_engine::block_on(self.cast_buffered(context, method, args))
    }

    async fn cast_by(
        &self,
        mode: CastMode,
        context: impl AsRef<Context>,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), Error> {
        let context = context.as_ref();
        let span = || spans::cast(self.target(), method, context);
        let observer = CallObserver::begin(self, "cast", method, span);
        // Mostly the outbox has room and no retry is counted here. Then the future keeps only the
        // confirm of the cast: thousands may be in flight.
        let immediate = {
            let _entered = observer.enter();
            self.try_cast(mode, context, method, args)
        };
        let result = match immediate {
            Ok(Immediate::Accepted(None)) => Ok(()),
            Ok(Immediate::Accepted(Some(confirm))) => errors::check_outcome(confirm.await)
                .map_err(|error| self.attempts().final_error(error)),
            Ok(Immediate::Deferred(body)) => {
                let later = || Box::pin(self.cast_later(mode, body, context, method, args));
                spans::instrument!(observer.span(), later())
            }
            Err(error) => Err(error),
        };
        self.forget_closed(&result);
        match mode {
            CastMode::Confirmed => self.transport.counters().count_cast(&result),
            CastMode::Buffered => self.transport.counters().count_buffered_cast(&result),
        }
        observer.ended(&result);
        result
    }

    /// Renders the request and hands it over, if that needs no waiting and it is never published
    /// again from here.
    fn try_cast(
        &self,
        mode: CastMode,
        context: &Context,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> Result<Immediate, Error> {
        let destination = self.opened_destination(mode.kind());
        let Some(route) = destination.as_ref().and_then(|destination| destination.only()) else {
            return Ok(Immediate::Deferred(None));
        };
        if mode == CastMode::Buffered {
            let body = self.render(context, method, args, None)?;
            let is_accepted = route.publish_and_forget_now(self.timeout(), &body, 0)?;
            return Ok(match is_accepted {
                true => Immediate::Accepted(None),
                false => Immediate::Deferred(Some(body)),
            });
        }
        let attempts = self.attempts();
        if attempts.may_repeat() {
            return Ok(Immediate::Deferred(None));
        }
        let body = self.render(context, method, args, None)?;
        match route.try_publish_confirmed(self.timeout(), &body) {
            Ok(Some(confirm)) => Ok(Immediate::Accepted(Some(confirm))),
            Ok(None) => Ok(Immediate::Deferred(Some(body))),
            Err(error) => Err(attempts.final_error(error)),
        }
    }

    /// Publishes a request, rendered or not yet.
    async fn cast_later(
        &self,
        mode: CastMode,
        body: Option<Body>,
        context: &Context,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), Error> {
        let deadline = timer::deadline_in(self.timeout());
        let destination = self.destination(mode.kind(), deadline).await?;
        let body = body.map_or_else(|| self.render(context, method, args, None), Ok)?;
        match destination.only() {
            Some(route) if mode == CastMode::Buffered => {
                route.publish_and_forget(timer::until(deadline), &body, 0).await
            }
            Some(_) => self.publish(&destination, AddressChoice::Only, &body, deadline).await,
            None => self.publish_to_two(&destination, &body, deadline).await,
        }
    }

    /// Publishes where there are two addresses.
    async fn publish_to_two(
        &self,
        destination: &Destination,
        body: &Body,
        deadline: Instant,
    ) -> Result<(), Error> {
        let first = destination.first_address(&self.transport, deadline).await?;
        let sent = self.publish(destination, first, body, deadline).await;
        if !destination.is_each() || first == AddressChoice::Other {
            return sent;
        }
        match self.publish(destination, AddressChoice::Other, body, deadline).await {
            // Its exchange went with the last server there; the servers at the first have it.
            Err(error) if errors::is_missing_exchange(&error) => sent,
            too => of_both(sent, too),
        }
    }

    /// Publishes until a queue has it.
    async fn publish(
        &self,
        destination: &Destination,
        mut address: AddressChoice,
        body: &Body,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mut attempts = self.attempts();
        loop {
            let route = destination.route(address);
            let Err(error) = route.publish_confirmed(timer::until(deadline), body).await else {
                return Ok(());
            };
            let decision = self.after_refusal(destination, address, error, &mut attempts, deadline);
            match decision.await? {
                RetryDecision::Again(next) => address = next,
                RetryDecision::TreatAsSent => return Ok(()),
            }
        }
    }
}

/// The result of a message that was sent to two addresses: it is `NotSent` only if it went to
/// neither.
fn of_both(first: Result<(), Error>, second: Result<(), Error>) -> Result<(), Error> {
    let was_not = |sent: &Result<(), Error>| {
        sent.as_ref().is_err_and(|error| error.outcome() == Some(Outcome::NotSent))
    };
    let is_sent = !was_not(&first) || !was_not(&second);
    first.and(second).map_err(|error| match error.outcome() {
        Some(Outcome::NotSent) if is_sent => error.with_outcome(Outcome::MaybeSent),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::message::target::Target;
    use crate::message::version::Version;
    use crate::transport::transport::Transport;

    /// Arguments that must not be serialised.
    struct Unread;

    impl Serialize for Unread {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("looked at"))
        }
    }

    #[test]
    fn what_may_not_be_sent_is_not_rendered() {
        let transport = Transport::connect_blocking("fake:///unread").unwrap();
        let client = RpcClient::new(&transport, Target::new("t")).with_version(Version::new(2, 0));
        let client = client.with_version_cap(Version::new(1, 0));
        let cast = client.cast_blocking((), "m", &Unread).unwrap_err();
        let buffered = client.cast_buffered_blocking((), "m", &Unread).unwrap_err();
        assert_eq!(cast.kind(), ErrorKind::RpcVersionCapError);
        assert_eq!(buffered.kind(), ErrorKind::RpcVersionCapError);
        transport.close_blocking().unwrap();
    }

    #[test]
    fn what_was_sent_to_one_of_two_names_may_be_sent() {
        let lost = |outcome| {
            Err(Error::new(ErrorKind::MessageDeliveryFailure, "lost").with_outcome(outcome))
        };
        let of = |first, second| of_both(first, second).unwrap_err().outcome().unwrap();
        assert!(of_both(Ok(()), Ok(())).is_ok());
        assert_eq!(of(Ok(()), lost(Outcome::NotSent)), Outcome::MaybeSent);
        assert_eq!(of(lost(Outcome::NotSent), Ok(())), Outcome::MaybeSent);
        assert_eq!(of(lost(Outcome::NotSent), lost(Outcome::MaybeSent)), Outcome::MaybeSent);
        assert_eq!(of(lost(Outcome::NotSent), lost(Outcome::NotSent)), Outcome::NotSent);
        assert_eq!(of(lost(Outcome::Nacked), Ok(())), Outcome::Nacked);
    }
}
