//! The future of a publication's outcome.
//!
//! Invariant: a publication whose wait timed out before it was sent is never sent.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::Error;
use crate::outcome::Outcome;
use crate::shard::border::block_on::block_on;
use crate::shard::border::outbox::Withdrawn;
use crate::shard::border::shared::ChannelShared;
use crate::shard::border::slab::{TicketError, Token};
use crate::shard::border::tickets::Ticket;

/// A future of the outcome of a publication. Dropping it gives up waiting; the publication is sent
/// all the same.
#[must_use = "a dropped confirm waits for nothing"]
pub struct Confirm {
    /// `None` if nothing more will be known.
    pending: Option<(Ticket<Outcome>, Arc<ChannelShared>)>,
}

impl Confirm {
    pub(crate) fn new(pending: Option<(Ticket<Outcome>, Arc<ChannelShared>)>) -> Self {
        Self { pending }
    }

    /// Blocks this thread until the outcome is known.
    pub fn wait(self) -> Outcome {
        block_on(self)
    }
}

impl Future for Confirm {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let Some((ticket, channel)) = &mut self.pending else {
            return Poll::Ready(Outcome::Sent);
        };
        let token = ticket.token();
        let Poll::Ready(answer) = Pin::new(ticket).poll(cx) else { return Poll::Pending };
        Poll::Ready(answer.unwrap_or_else(|error| outcome_without_answer(channel, token, error)))
    }
}

/// Returns the outcome of a publication whose ticket was not answered, and withdraws the
/// publication if it has not been sent yet.
pub(crate) fn outcome_without_answer(
    channel: &ChannelShared,
    token: Token,
    error: TicketError,
) -> Outcome {
    let withdrawn = channel.outbox.withdraw(token);
    let error = match error {
        TicketError::TimedOut => Error::timed_out("the broker's confirm")
            .with_cause(channel.connection.status.down_reason()),
        TicketError::Aborted => Error::stopped(),
    };
    match withdrawn {
        Withdrawn::Unsent => Outcome::NotSent(error),
        Withdrawn::Nacked(nacked) => Outcome::Nacked(Some(nacked)),
        Withdrawn::No => Outcome::MaybeSent(error),
    }
}

impl std::fmt::Debug for Confirm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Confirm").finish_non_exhaustive()
    }
}
