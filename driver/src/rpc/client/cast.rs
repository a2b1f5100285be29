//! A cast: a request without an answer.
//!
//! Two promises: `cast` returns when the broker has the message, `cast_buffered` when this process
//! has accepted it. Neither says that anybody executes it.

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
use crate::rpc::client::destination::{Attempt, Destination, RetryDecision};
use crate::runtime::timer;

impl RpcClient {
    /// Sends a request that wants no answer; returns when the broker has confirmed it.
    ///
    /// With fanout it goes to every server of the topic, else to one of them or to the one named.
    ///
    /// # Errors
    /// `MessagingTimeout` when the broker did not confirm it before the timeout;
    /// `MessageDeliveryFailure` when it refused it, or was lost meanwhile and
    /// [`Retry`](crate::Retry) allows no more; `MessageUndeliverable` with at-least-once when no
    /// queue exists for it; `InvalidTarget`, `RpcVersionCapError` and `ClientSendError` for what
    /// cannot be sent. [`Error::outcome`] says what became of the message.
    pub async fn cast(
        &self,
        context: impl AsRef<Context>,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), Error> {
        let context = context.as_ref();
        let span = || spans::cast(self.target(), method, context);
        let underway = CallObserver::begin(self, "cast", method, span);
        // Mostly there is room, and nothing to publish again from here: then all that is kept of a
        // cast until it is confirmed, of thousands in flight perhaps, is its confirm.
        let attempt = {
            let _entered = underway.enter();
            self.cast_at_once(context, method, args)
        };
        let result = match attempt {
            Ok(Immediate::Taken(confirm)) => {
                errors::confirmed(confirm.await).map_err(|error| self.attempts().given_up(error))
            }
            Ok(Immediate::Left(body)) => {
                let later = || Box::pin(self.cast_later(body, context, method, args));
                spans::within!(underway.span(), later())
            }
            Err(error) => Err(error),
        };
        self.forget_lost_ways(&result);
        self.transport.counters().cast(&result);
        underway.ended(&result);
        result
    }

    /// Renders the request and hands it over, if that needs no waiting and it is never published
    /// again from here.
    fn cast_at_once(
        &self,
        context: &Context,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> Result<Immediate<Confirm>, Error> {
        let attempts = self.attempts();
        let way = self.cast_way_if_open();
        let road = match way.as_ref().and_then(|way| way.only()) {
            Some(road) if !attempts.may_repeat() => road,
            _ => return Ok(Immediate::Left(None)),
        };
        let body = self.render(context, method, args, None)?;
        match road.offer_confirmed(self.timeout(), &body) {
            Ok(Some(confirm)) => Ok(Immediate::Taken(confirm)),
            Ok(None) => Ok(Immediate::Left(Some(body))),
            Err(error) => Err(attempts.given_up(error)),
        }
    }

    /// Publishes a request, rendered or not yet.
    async fn cast_later(
        &self,
        body: Option<Body>,
        context: &Context,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), Error> {
        let deadline = timer::deadline_in(self.timeout());
        let way = self.cast_way(deadline).await?;
        let body = self.rendered(body, context, method, args)?;
        match way.only() {
            Some(_) => self.send_along((&way, Attempt::Only), &body, deadline).await,
            None => self.send_either_way(&way, &body, deadline).await,
        }
    }

    /// The body of a request, if it is not there already.
    fn rendered(
        &self,
        body: Option<Body>,
        context: &Context,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> Result<Body, Error> {
        body.map_or_else(|| self.render(context, method, args, None), Ok)
    }

    /// Publishes where there are two names.
    async fn send_either_way(
        &self,
        way: &Destination,
        body: &Body,
        deadline: Instant,
    ) -> Result<(), Error> {
        let first = way.first(&self.transport).await.map_err(Error::unsent)?;
        let sent = self.send_along((way, first), body, deadline).await;
        if !matches!(way, Destination::Both { .. }) || first == Attempt::Kombu {
            return sent;
        }
        match self.send_along((way, Attempt::Kombu), body, deadline).await {
            // Its exchange went with the last server of that dialect; the others have it.
            Err(error) if errors::found_no_exchange(&error) => sent,
            too => of_both(sent, too),
        }
    }

    /// Publishes until somebody has it.
    async fn send_along(
        &self,
        (way, mut leg): (&Destination, Attempt),
        body: &Body,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mut attempts = self.attempts();
        loop {
            match way.road(leg).publish_confirmed(timer::until(deadline), body).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    let refused = self.refused((way, leg), error, &mut attempts, deadline);
                    match Box::pin(refused).await? {
                        RetryDecision::Again(next) => leg = next,
                        RetryDecision::Wait => return Ok(()),
                    }
                }
            }
        }
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

    /// Sends a request that wants no answer; returns when it is in the outbox, from where it leaves
    /// with thousands of others. Waits only while the outbox is full, until the timeout at most.
    ///
    /// They leave in their order, by default on a connection of their own: whoever waits for an
    /// answer or a confirm does not stand behind a flood of them, and what is sent in another way
    /// may overtake them.
    ///
    /// What the broker refuses later is only counted, in
    /// [`TransportStats::casts_refused`](crate::TransportStats::casts_refused). Nobody waits who
    /// could publish it again, so [`Retry::Times`](crate::Retry::Times) is
    /// [`Retry::Never`](crate::Retry::Never) here. Where requests go to either of two names
    /// ([`SendingDialect::Auto`](crate::SendingDialect::Auto)) somebody has to wait for what the
    /// broker says of the first, so this is [`cast`](Self::cast) there.
    ///
    /// # Errors
    /// As [`cast`](Self::cast), for what is known before it leaves.
    pub async fn cast_buffered(
        &self,
        context: impl AsRef<Context>,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), Error> {
        let context = context.as_ref();
        let span = || spans::cast(self.target(), method, context);
        let underway = CallObserver::begin(self, "cast", method, span);
        // Nearly always there is room, and no future is needed to wait for it.
        let attempt = {
            let _entered = underway.enter();
            self.buffer_at_once(context, method, args)
        };
        let result = match attempt {
            Ok(Immediate::Taken(())) => Ok(()),
            Ok(Immediate::Left(body)) => {
                let later = || Box::pin(self.buffer_later(body, context, method, args));
                spans::within!(underway.span(), later())
            }
            Err(error) => Err(error),
        };
        self.forget_lost_ways(&result);
        self.transport.counters().cast_buffered(&result);
        underway.ended(&result);
        result
    }

    /// Renders the request and hands it over, if that is possible at once.
    fn buffer_at_once(
        &self,
        context: &Context,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> Result<Immediate<()>, Error> {
        let way = self.buffered_way_if_open();
        let Some(road) = way.as_ref().and_then(|way| way.only()) else {
            return Ok(Immediate::Left(None));
        };
        let body = self.render(context, method, args, None)?;
        let is_taken = road.publish_at_once(self.timeout(), &body, 0)?;
        Ok(if is_taken { Immediate::Taken(()) } else { Immediate::Left(Some(body)) })
    }

    /// Hands a request over, rendered or not yet, when that is possible.
    async fn buffer_later(
        &self,
        body: Option<Body>,
        context: &Context,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), Error> {
        let deadline = timer::deadline_in(self.timeout());
        let way = self.buffered_way(deadline).await?;
        let body = self.rendered(body, context, method, args)?;
        match way.only() {
            Some(road) => road.publish_unwatched(timer::until(deadline), &body, 0).await,
            None => self.send_either_way(&way, &body, deadline).await,
        }
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
}

/// What became of a request that was to leave at once.
enum Immediate<T> {
    Taken(T),
    /// Left to be sent in a longer way; with its body, if that was rendered already.
    Left(Option<Body>),
}

/// What became of a message that was sent to two names: it was not sent only if it was to neither.
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

    /// Arguments that nobody should look at.
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
