//! The way of a client's requests: the name they go to, or the two names where servers of either
//! dialect may listen.
//!
//! Where there are two, the `pika` name goes first: its queues vanish with their servers, so that
//! what can be routed there finds one, while those of the `rabbit` driver stay for ever and would
//! bury what came first to them. A message goes to the other name only when the broker has said
//! that nobody got it: never because a confirm was lost. Not here: how a call or cast runs.

use std::time::Instant;

use crate::broker::errors;
use crate::broker::publish::publisher::Route;
use crate::error::{Error, ErrorKind, Outcome};
use crate::retry::{Attempts, Retry};
use crate::rpc::client::client::RpcClient;
use crate::runtime::timer;
use crate::topology::Exchange;
use crate::transport::transport::Transport;

/// Where requests go.
pub(crate) enum Destination {
    /// To one name.
    One(Route),
    /// To the `pika` name, while its exchange is there and somebody listens; else to the other.
    Either { pika: Route, kombu: Route, exchange: Exchange },
    /// To both.
    Both { pika: Route, kombu: Route, exchange: Exchange },
}

/// Which name an attempt goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    Only,
    Pika,
    Kombu,
}

impl Destination {
    /// The road of a leg.
    pub(crate) const fn road(&self, leg: Attempt) -> &Route {
        match (self, leg) {
            (Self::One(road), _) => road,
            (Self::Either { pika, .. } | Self::Both { pika, .. }, Attempt::Pika) => pika,
            (Self::Either { kombu, .. } | Self::Both { kombu, .. }, _) => kombu,
        }
    }

    /// Whether one of its roads leads nowhere any more.
    pub(crate) fn is_gone(&self) -> bool {
        match self {
            Self::One(road) => road.is_gone(),
            Self::Either { pika, kombu, .. } | Self::Both { pika, kombu, .. } => {
                pika.is_gone() || kombu.is_gone()
            }
        }
    }

    /// The only road, if that is all there is.
    pub(crate) const fn only(&self) -> Option<&Route> {
        match self {
            Self::One(road) => Some(road),
            Self::Either { .. } | Self::Both { .. } => None,
        }
    }

    /// Where a request goes first.
    pub(crate) async fn first(&self, transport: &Transport) -> Result<Attempt, Error> {
        match self {
            Self::One(_) => Ok(Attempt::Only),
            Self::Either { exchange, .. } | Self::Both { exchange, .. } => {
                let is_there = match transport.has_found(exchange) {
                    Some(known) => known,
                    None => transport.finds(exchange).await?,
                };
                if !is_there {
                    transport.counters().to_other_name();
                }
                Ok(if is_there { Attempt::Pika } else { Attempt::Kombu })
            }
        }
    }

    /// Where a request goes next: to the other name, if nobody got it at this one. That an exchange
    /// is gone ends the channel, and with it what others had published: only those who `may_repeat`
    /// take that for a refusal of theirs.
    pub(crate) fn after(&self, leg: Attempt, error: &Error, may_repeat: bool) -> Option<Attempt> {
        let is_first = matches!(self, Self::Either { .. }) && leg == Attempt::Pika;
        let is_sure = error.is_undeliverable() || (may_repeat && errors::found_no_exchange(error));
        (is_first && is_sure).then_some(Attempt::Kombu)
    }
}

/// What to do about a request that was refused.
pub(crate) enum RetryDecision {
    /// Publish it again.
    Again(Attempt),
    /// Nothing, as if somebody had got it: clients of the `rabbit` driver do not ask.
    Wait,
}

impl RpcClient {
    /// What to do about a request that was refused, after as much time as that takes.
    pub(crate) async fn refused(
        &self,
        (way, leg): (&Destination, Attempt),
        error: Error,
        attempts: &mut Attempts,
        deadline: Instant,
    ) -> Result<RetryDecision, Error> {
        if let Some(other) = way.after(leg, &error, self.retry() != Retry::Never) {
            self.transport.counters().to_other_name();
            if let Destination::Either { exchange, .. } = way
                && !error.is_undeliverable()
            {
                self.transport.lost(exchange);
            }
            return Ok(RetryDecision::Again(other));
        }
        if error.is_undeliverable() && way.only().is_none() && !self.is_at_least_once() {
            return Ok(RetryDecision::Wait);
        }
        let (text, outcome) = (error.to_string(), error.outcome());
        let delay = attempts.again(error)?;
        self.transport.counters().retry();
        if !delay.is_zero() {
            // Where the engine has stopped, publishing says so.
            let _ = self.transport.timer().pause(delay.min(timer::until(deadline))).await;
            if timer::now() >= deadline {
                let text = format!("nobody got the request before the deadline: {text}");
                let error = Error::new(ErrorKind::MessagingTimeout, text);
                return Err(error.with_outcome(outcome.unwrap_or(Outcome::Returned)));
            }
        }
        Ok(RetryDecision::Again(leg))
    }
}
