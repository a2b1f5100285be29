//! Where a client's requests go: to one address, or to two where servers of either format may
//! listen.
//!
//! Of two addresses a request goes to the first one, while its exchange exists and a queue takes
//! the request there. It goes to the other one only when no queue can have it at the first: its
//! exchange is missing there, or RabbitMQ returned the request; never because a confirm was lost.
//! Fanouts go to both. Not here: how a destination is opened (`open_destination`), how a call or a
//! cast runs.

use std::time::Instant;

use crate::broker::errors;
use crate::broker::open_once::OpenOnce;
use crate::broker::publish::route::Route;
use crate::error::{Error, ErrorKind, Outcome};
use crate::runtime::timer;
use crate::topology::Exchange;
use crate::transport::retry_counter::RetryCounter;
use crate::transport::transport::Transport;

/// The destinations of one client, each opened when it is first used.
#[derive(Default)]
pub(super) struct Destinations {
    pub(super) calls: OpenOnce<Destination>,
    pub(super) casts: OpenOnce<Destination>,
    pub(super) buffered_casts: OpenOnce<Destination>,
}

/// Where requests go.
pub(super) enum Destination {
    /// To one address.
    One {
        route: Route,
        /// Its properties name the time that is left, so another attempt needs a route of its own.
        expires_per_attempt: bool,
    },
    /// To the first, while its exchange exists and a server listens there; else to the other.
    FirstThenOther { routes: [Route; 2], exchange: Exchange },
    /// To both.
    Each { routes: [Route; 2], exchange: Exchange },
}

/// Which of the addresses a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddressChoice {
    Only,
    First,
    Other,
}

/// What to do about a request that was refused.
pub(super) enum RetryDecision {
    /// Publish it again.
    Again(AddressChoice),
    /// Treat it as sent: clients of the `rabbit` driver do not learn that no queue took it.
    TreatAsSent,
}

/// What a client wants to happen to requests that are refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefusalPolicy {
    /// They are published at most once.
    pub(super) is_sent_once: bool,
    /// The caller is told of a request that no queue takes.
    pub(super) is_at_least_once: bool,
}

impl Destinations {
    /// All of them.
    pub(super) const fn all(&self) -> [&OpenOnce<Destination>; 3] {
        [&self.calls, &self.casts, &self.buffered_casts]
    }
}

impl Destination {
    /// The route to one of the addresses.
    pub(super) const fn route(&self, address: AddressChoice) -> &Route {
        match (self, address) {
            (Self::One { route, .. }, _) => route,
            (
                Self::FirstThenOther { routes, .. } | Self::Each { routes, .. },
                AddressChoice::First,
            ) => &routes[0],
            (Self::FirstThenOther { routes, .. } | Self::Each { routes, .. }, _) => &routes[1],
        }
    }

    /// The only route, if there is one alone.
    pub(super) const fn only(&self) -> Option<&Route> {
        match self {
            Self::One { route, .. } => Some(route),
            Self::FirstThenOther { .. } | Self::Each { .. } => None,
        }
    }

    /// Whether every request goes to both addresses.
    pub(super) const fn is_each(&self) -> bool {
        matches!(self, Self::Each { .. })
    }

    /// Whether another attempt needs a route of its own.
    pub(super) const fn expires_per_attempt(&self) -> bool {
        matches!(self, Self::One { expires_per_attempt: true, .. })
    }

    /// Whether one of its routes has closed for good.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::One { route, .. } => route.is_closed(),
            Self::FirstThenOther { routes, .. } | Self::Each { routes, .. } => {
                routes.iter().any(Route::is_closed)
            }
        }
    }

    /// Which address a request goes to first. Asks the broker where that is not known, until
    /// `deadline`.
    pub(super) async fn first_address(
        &self,
        transport: &Transport,
        deadline: Instant,
    ) -> Result<AddressChoice, Error> {
        let exchange = match self {
            Self::One { .. } => return Ok(AddressChoice::Only),
            Self::FirstThenOther { exchange, .. } | Self::Each { exchange, .. } => exchange,
        };
        let publishers = transport.publishers();
        let exists = match publishers.cached(exchange) {
            Some(exists) => exists,
            None => {
                let probe = || publishers.probe(exchange);
                transport.open_until(deadline, probe).await.map_err(Error::unsent)?
            }
        };
        if exists {
            return Ok(AddressChoice::First);
        }
        transport.counters().count_fallback();
        Ok(AddressChoice::Other)
    }

    /// Decides what to do about a request that was refused, and waits as long as that takes.
    pub(super) async fn after_refusal(
        &self,
        address: AddressChoice,
        error: Error,
        attempts: &mut RetryCounter,
        deadline: Instant,
        policy: RefusalPolicy,
        transport: &Transport,
    ) -> Result<RetryDecision, Error> {
        if let Some(exchange) = self.first_exchange_after(address, &error, policy) {
            transport.counters().count_fallback();
            if !error.is_undeliverable() {
                transport.publishers().invalidate(exchange);
            }
            return Ok(RetryDecision::Again(AddressChoice::Other));
        }
        if error.is_undeliverable() && self.only().is_none() && !policy.is_at_least_once {
            return Ok(RetryDecision::TreatAsSent);
        }
        let (text, outcome) = (error.to_string(), error.outcome());
        let delay = attempts.next_pause(error)?;
        transport.counters().count_retry();
        if !delay.is_zero() {
            // Where the engine has stopped, publishing says so.
            let _ = transport.timer().sleep(delay.min(timer::until(deadline))).await;
            if timer::now() >= deadline {
                let text = format!("no queue took the request before the deadline: {text}");
                let error = Error::new(ErrorKind::MessagingTimeout, text);
                return Err(error.with_outcome(outcome.unwrap_or(Outcome::Returned)));
            }
        }
        Ok(RetryDecision::Again(address))
    }

    /// The exchange of the first address, if the request goes to the other one next, because no
    /// queue took it at the first. A missing exchange ends the channel, and with it what other
    /// senders published there: only a request that may be sent twice takes that for its refusal.
    fn first_exchange_after(
        &self,
        address: AddressChoice,
        error: &Error,
        policy: RefusalPolicy,
    ) -> Option<&Exchange> {
        let Self::FirstThenOther { exchange, .. } = self else { return None };
        let was_not_taken = error.is_undeliverable()
            || (!policy.is_sent_once && errors::is_missing_exchange(error));
        (address == AddressChoice::First && was_not_taken).then_some(exchange)
    }
}
