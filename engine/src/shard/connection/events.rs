//! Handles the events of the protocol state machine.
//!
//! Invariant: outcomes are collected while a batch is read and completed at its end, under one
//! lock. Event handlers do not wait. What takes time becomes a [`RecoveryTask`] (`recover`).

use std::sync::atomic::Ordering;

use crate::error::{Error, ErrorKind};
use crate::outcome::Outcome;
use crate::proto::{self, Content, Event};
use crate::reactor;
use crate::shard::border::delivery::Returned;
use crate::shard::border::slab::Token;
use crate::shard::connection::channel::exception_cause::Cause;
use crate::shard::connection::channel::fingerprint::fingerprint_of_sum;
use crate::shard::connection::channel::in_flight::ChannelFailure;
use crate::shard::connection::state::{Conn, PendingRequest, RecoveryTask};
use crate::shard::stats::Stats;

/// The named entity does not exist (AMQP 1.2).
const NOT_FOUND: u16 = 404;

impl Conn {
    pub(crate) fn handle_event(&self, event: Event) {
        match event {
            Event::Opened { frame_max } => {
                self.frame_max.set(frame_max);
                self.opened.set(true);
                self.changed.notify_waiters();
            }
            Event::Reply { token, method } => {
                let answered = self.pending_requests.borrow_mut().remove(&token);
                if let Some(PendingRequest { channel, reply, .. }) = answered {
                    // Later requests of the channel were behind this one, so their time starts now.
                    let mut requests = self.pending_requests.borrow_mut();
                    let behind = requests.values_mut().filter(|request| request.channel == channel);
                    behind.for_each(|request| request.since = reactor::now());
                    // Sending fails if the caller has timed out. It needs no response then.
                    let _ = reply.send(Ok(method));
                }
            }
            Event::Delivery { .. } if self.closing.get() => {}
            Event::Delivery { channel, content } => {
                let mut channels = self.channels.borrow_mut();
                let delivered = channels
                    .get_mut(&channel)
                    .map_or(Ok(()), |state| state.deliveries.deliver(content));
                drop(channels);
                if let Err(error) = delivered {
                    self.fail(error.into());
                }
            }
            Event::Oversized { .. } if self.closing.get() => {}
            Event::Oversized { channel, content, size, body } => {
                self.handle_oversized(channel, content, size, &body);
            }
            Event::Returned { channel, content } => {
                self.handle_returned(channel, Returned::new(content))
            }
            Event::Confirmed { channel, tag, multiple, ack } => {
                self.handle_confirmed(channel, tag, multiple, ack);
            }
            Event::ConsumerCancelled { channel, consumer_tag } => {
                self.handle_consumer_cancelled(channel, consumer_tag);
            }
            Event::ChannelClosed { channel, code, text, cause } => {
                self.handle_channel_closed(channel, code, &text, Cause::of(cause, code, &text));
            }
            Event::Blocked { reason } => {
                if let Some(suppressed) = self.log_limits.blocked.admit(reactor::now()) {
                    self.log(|| {
                        tracing::warn!(
                            name: "leveret.engine.connection.blocked",
                            reason, suppressed, "the broker blocks publishers"
                        );
                    });
                }
                self.blocked.replace(Some(reason));
                self.update_state();
            }
            Event::Unblocked => {
                if let Some(suppressed) = self.log_limits.unblocked.admit(reactor::now()) {
                    self.log(|| {
                        tracing::info!(
                            name: "leveret.engine.connection.unblocked",
                            suppressed, "the broker accepts publications again"
                        );
                    });
                }
                self.blocked.replace(None);
                self.unblocked_since.set(Some(reactor::now()));
                self.update_state();
            }
            Event::Closed { code, text } => self.fail(Error::closed_by_broker(code, &text)),
        }
    }

    /// The broker cancelled a consumer, because its queue was deleted or moved.
    fn handle_consumer_cancelled(&self, channel: u16, consumer_tag: String) {
        if let Some(suppressed) = self.log_limits.cancelled.admit(reactor::now()) {
            let consumer_tag = &*proto::printable(&consumer_tag);
            self.log(|| {
                tracing::warn!(
                    name: "leveret.engine.consumer.cancelled",
                    channel, consumer_tag, suppressed, "the broker cancelled a consumer"
                );
            });
        }
        let text = "the broker cancelled the consumer: its queue was deleted or moved";
        let reason = Error::new(ErrorKind::ChannelClosed, text);
        self.with_consumer(channel, &consumer_tag, |consumer| {
            consumer.shared.set_waiting(&reason);
            consumer.sink.cancelled();
        });
        self.recovery_tasks.borrow_mut().push(RecoveryTask::Resubscribe(channel, consumer_tag));
    }

    /// The broker confirmed or refused publications.
    fn handle_confirmed(&self, channel: u16, tag: u64, multiple: bool, ack: bool) {
        let mut channels = self.channels.borrow_mut();
        let Some(state) = channels.get_mut(&channel) else { return };
        let known = state.publications.settle(tag, multiple, ack, &mut self.outcomes.borrow_mut());
        if !ack {
            self.delayed.notify_one();
            if state.publications.record_nack(reactor::now()) {
                self.recovery_tasks.borrow_mut().push(RecoveryTask::RenewChannel(channel));
            }
        }
        drop(channels);
        if !known {
            self.fail(proto::ProtoError::UnknownTag { tag }.into());
        }
    }

    fn handle_returned(&self, channel: u16, returned: Returned) {
        let mut channels = self.channels.borrow_mut();
        let Some(state) = channels.get_mut(&channel) else { return };
        let token = state.publications.take_returned(&returned);
        self.complete_returned(token, returned);
    }

    /// A message whose body was above the limit was dropped. The connection goes on.
    fn handle_oversized(
        &self,
        channel: u16,
        content: Content,
        size: u64,
        body: &crc32fast::Hasher,
    ) {
        Stats::count(&self.stats.oversized, 1);
        self.log(|| {
            tracing::warn!(
                name: "leveret.engine.message.oversized",
                channel, size, max = self.config.body_max, "a message is too large and is dropped"
            );
        });
        let mut channels = self.channels.borrow_mut();
        let Some(state) = channels.get_mut(&channel) else { return };
        if !content.is_return() {
            let rejected = state.deliveries.reject_oversized(content, size);
            drop(channels);
            return rejected.unwrap_or_else(|error| self.fail(error.into()));
        }
        let returned = Returned::new(content);
        let token = state.publications.take_returned_fingerprint(fingerprint_of_sum(
            returned.exchange(),
            returned.routing_key(),
            body,
        ));
        self.complete_returned(token, returned);
    }

    /// Completes a returned publication, or counts it if no caller waits for it.
    fn complete_returned(&self, token: Option<Token>, returned: Returned) {
        match token {
            Some(token) if token != 0 => {
                let outcome = Outcome::Returned(Box::new(returned));
                self.outcomes.borrow_mut().push((token, outcome));
            }
            _ => {
                self.shared.fire_and_forget_failures.fetch_add(1, Ordering::Relaxed);
                if let Some(suppressed) = self.log_limits.returned.admit(reactor::now()) {
                    self.log(|| {
                        tracing::debug!(
                            name: "leveret.engine.publication.returned",
                            ?returned, suppressed,
                            "a publication without a waiting caller was returned"
                        );
                    });
                }
            }
        }
    }

    /// The broker closed a channel: fails the channel's pending requests and starts to reopen it.
    fn handle_channel_closed(&self, channel: u16, code: u16, text: &str, cause: Cause) {
        let words = format!("the broker closed channel {channel}: {code} {text}");
        let error = Error::with_code(ErrorKind::ChannelClosed, code, words);
        let mut requests = self.pending_requests.borrow_mut();
        let failed: Vec<u64> = requests
            .iter()
            .filter(|(_, request)| request.channel == channel)
            .map(|(token, _)| *token)
            .collect();
        if failed.is_empty()
            && let Some(suppressed) = self.log_limits.channel_closed.admit(reactor::now())
        {
            self.log(|| {
                tracing::warn!(
                    name: "leveret.engine.channel.closed",
                    channel, code, text, suppressed, "the broker closed a channel"
                );
            });
        }
        for token in failed {
            if let Some(request) = requests.remove(&token) {
                let _ = request.reply.send(Err(error.clone()));
            }
        }
        if let Some(state) = self.channels.borrow_mut().get_mut(&channel) {
            let missing = match &cause {
                Cause::Exchange(name) if code == NOT_FOUND => Some(name.clone()),
                _ => None,
            };
            let missing = missing.filter(|name| self.topology.borrow().has_exchange(name));
            let is_redeclared = missing.is_some();
            state.handle_channel_failure(
                ChannelFailure { error, cause, is_redeclared },
                &mut self.outcomes.borrow_mut(),
            );
            self.recovery_tasks.borrow_mut().push(RecoveryTask::ReopenChannel(channel, missing));
        }
    }

    /// Ends the batch of events of one read.
    pub(crate) fn end_batch(&self) {
        let mut has_deferred_acks = false;
        for state in self.channels.borrow_mut().values_mut() {
            state.deliveries.consumers.iter_mut().for_each(|consumer| consumer.sink.flush());
            has_deferred_acks |= state.has_acks() && !state.has_urgent_acks();
        }
        if has_deferred_acks {
            self.deferred_acks.notify_one();
        }
        self.complete_outcomes();
    }

    pub(crate) fn complete_outcomes(&self) {
        if self.outcomes.borrow().is_empty() {
            return;
        }
        let mut outcomes = self.outcomes.take();
        self.shared.outcomes.complete_all(outcomes.drain(..));
        self.outcomes.replace(outcomes);
    }

    /// Resolves all unconfirmed publications after the socket was lost.
    pub(crate) fn handle_connection_lost(&self, error: &Error) {
        for state in self.channels.borrow_mut().values_mut() {
            let mut outcomes = self.outcomes.borrow_mut();
            state.publications.handle_writer_ended(&mut outcomes);
            state.handle_connection_lost(error, &mut outcomes);
        }
        self.complete_outcomes();
    }
}
