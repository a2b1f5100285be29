//! A call: a request out, a reply in, within one deadline.
//!
//! The slot for the reply is opened before the request leaves, because the reply may overtake the
//! confirm. A confirm does not wake the caller; a refusal ends the call at once. The reply is
//! decoded here, on the caller's own thread.

use std::time::Instant;

use leveret_engine::{Delivery, TicketError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::broker::errors;
use crate::codec::encoded::NULL;
use crate::dialect::error::DecodeError;
use crate::error::{Error, ErrorKind, Outcome};
use crate::message::CallFields;
use crate::message::context::Context;
use crate::message::ids::Hex32;
use crate::observe::spans;
use crate::rpc::client::call_observer::CallObserver;
use crate::rpc::client::client::RpcClient;
use crate::rpc::client::destination::{AddressChoice, RetryDecision};
use crate::rpc::client::open_destination::RequestKind;
use crate::rpc::serialized;
use crate::runtime::timer;
use crate::transport::pending_calls::Arrived;

impl RpcClient {
    /// Calls `method` of one server and waits for the reply.
    ///
    /// `args` serialises to an object, the arguments by name: a struct, a map, `json!({…})`, or
    /// `()`. The result is any type serde can read, `serde_json::Value` for any reply. Dropping the
    /// future gives up; the server may still execute the request.
    ///
    /// # Errors
    /// `MessagingTimeout` when no reply came in time; `RemoteError` with what the endpoint raised;
    /// `MessageDeliveryFailure` and `MessageUndeliverable` when the broker refused the request;
    /// `InvalidTarget`, `RpcVersionCapError` and `ClientSendError` for what cannot be sent;
    /// `InvalidReply` when the result is not of type `R`. [`Error::outcome`] says whether the
    /// broker or a server has the request.
    pub async fn call<R: DeserializeOwned>(
        &self,
        context: impl AsRef<Context>,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> Result<R, Error> {
        let begun = timer::now();
        let counted = self.transport.counters().start_call(begun);
        let deadline = timer::deadline_from(begun, self.timeout());
        let context = context.as_ref();
        let span = || spans::call(self.target(), method, context);
        let observer = CallObserver::begin(self, "call", method, span);
        let calling = || self.call_until(deadline, context, method, args);
        let result = spans::instrument!(observer.span(), calling());
        self.forget_closed(&result);
        counted.finish(&result);
        observer.ended(&result);
        result
    }

    async fn call_until<R: DeserializeOwned>(
        &self,
        deadline: Instant,
        context: &Context,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> Result<R, Error> {
        let destination = self.destination(RequestKind::Call, deadline).await?;
        let reply_queue = self.transport.open_reply_queue(deadline).await.map_err(Error::unsent)?;
        let mut attempts = self.attempts();
        let may_repeat = attempts.may_repeat() || destination.only().is_none();
        let heartbeats = self.transport.heartbeat_wait(self.options.monitor);
        let mut pending = self.transport.pending_calls().open(deadline, heartbeats, may_repeat);
        self.transport.reply_watchdog().watch();
        let msg_id = pending.msg_id();
        let call = CallFields { msg_id, reply_queue: &reply_queue, monitor: self.options.monitor };
        let body = self.render(context, method, args, Some(call))?;
        let mut address = match destination.only() {
            Some(_) => AddressChoice::Only,
            None => Box::pin(destination.first_address(&self.transport, deadline)).await?,
        };
        let (timeout, slot) = (timer::until(deadline), pending.refusal_slot());
        destination.route(address).publish_and_forget(timeout, &body, slot).await?;
        // Most bodies return to their thread's buffer now.
        let body = may_repeat.then_some(body);
        loop {
            match pending.arrived().await {
                Ok(Arrived::Reply(delivery)) => match self.read(&delivery, &msg_id, context) {
                    Ok(Some(result)) => return result,
                    Ok(None) => pending.wait_on(),
                    Err(error) if self.is_refused(&error, &delivery, &msg_id) => {
                        return Err(invalid(format!("the result is not decoded: {error}")));
                    }
                    Err(error) => {
                        tracing::warn!(
                            name: "leveret.reply.undecodable",
                            %error, "a reply cannot be read and is dropped"
                        );
                        pending.wait_on();
                    }
                },
                Ok(Arrived::PublishFailed(outcome)) => {
                    let error = errors::from_outcome(outcome);
                    let decision =
                        self.after_refusal(&destination, address, error, &mut attempts, deadline);
                    match decision.await? {
                        RetryDecision::Again(next) => address = next,
                        RetryDecision::TreatAsSent => continue,
                    }
                    pending.repeat();
                    let body = body.as_ref().expect("kept, as it may be repeated");
                    let slot = pending.refusal_slot();
                    let again = async {
                        let own =
                            self.route_of_repeat(&destination, deadline, &reply_queue).await?;
                        let route = own.as_ref().unwrap_or_else(|| destination.route(address));
                        route.publish_and_forget(timer::until(deadline), body, slot).await
                    };
                    Box::pin(again).await.map_err(|error| attempts.with_total_outcome(error))?;
                }
                Ok(Arrived::Oversized(size)) => return Err(too_large(size)),
                Err(TicketError::TimedOut) => {
                    return Err(timed_out(&msg_id, self.transport.why_down()));
                }
                Err(TicketError::Aborted) => {
                    return Err(errors::transport_closed().with_outcome(Outcome::MaybeSent));
                }
            }
        }
    }

    /// [`call`](Self::call) for a plain thread, which is parked meanwhile.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_blocking<R: DeserializeOwned>(
        &self,
        context: impl AsRef<Context>,
        method: &str,
        args: &(impl Serialize + Sync + ?Sized),
    ) -> Result<R, Error> {
        leveret_engine::block_on(self.call(context, method, args))
    }

    /// The result in a reply; `None` if the reply is for another call.
    fn read<R: DeserializeOwned>(
        &self,
        delivery: &Delivery,
        msg_id: &Hex32,
        context: &Context,
    ) -> Result<Option<Result<R, Error>>, DecodeError> {
        self.transport.wire().read_reply(delivery, |reply| {
            if reply.msg_id.as_deref() != Some(msg_id.as_str()) {
                return None;
            }
            if let Some(failure) = reply.failure {
                let is_allowed = self.transport.allows_remote(failure.module());
                return Some(Err(Error::from_remote(failure, is_allowed)));
            }
            let result = reply.result.as_ref().unwrap_or(&NULL);
            if let Some(serializer) = &self.options.serializer {
                return Some(serialized::deserialize_result(serializer.as_ref(), context, result));
            }
            Some(result.read().map_err(|error| {
                invalid(format!("the result is not of the expected type: {error}"))
            }))
        })
    }

    /// Whether this is the reply to the call, and is not decoded because of what it would cost.
    fn is_refused(&self, error: &DecodeError, delivery: &Delivery, msg_id: &Hex32) -> bool {
        error.is_over_budget()
            && self.transport.wire().call_id_of(delivery).as_ref() == Some(msg_id)
    }
}

fn timed_out(msg_id: &Hex32, reason: Option<leveret_engine::Error>) -> Error {
    let mut text = format!("Timed out waiting for a reply to message ID {}", msg_id.as_str());
    if let Some(reason) = &reason {
        text += &format!(" ({reason})");
    }
    let error = Error::new(ErrorKind::MessagingTimeout, text).with_outcome(Outcome::MaybeSent);
    match reason {
        Some(reason) => error.with_cause(reason),
        None => error,
    }
}

fn too_large(size: u64) -> Error {
    invalid(format!(
        "the reply of {size} bytes is larger than body_max; raise it to receive such ones"
    ))
}

fn invalid(text: String) -> Error {
    Error::new(ErrorKind::InvalidReply, text).with_outcome(Outcome::Answered)
}
