//! Requests: what is checked before one is sent, and how its body is rendered.

use serde::Serialize;

use crate::broker::publish::body::Body;
use crate::error::{Error, ErrorKind};
use crate::message::context::Context;
use crate::message::{CallFields, Request};
use crate::rpc::client::client::RpcClient;
use crate::rpc::serialized;

impl RpcClient {
    /// Checks that fail without contacting the broker.
    pub(super) fn check(&self) -> Result<(), Error> {
        let options = &self.options;
        if !self.can_send_version() {
            let version = options.version.as_deref().unwrap_or("None");
            let cap = options.version_cap.map_or_else(String::new, |cap| cap.to_string());
            return Err(Error::new(
                ErrorKind::RpcVersionCapError,
                format!(
                    "Requested message version, {version} is incompatible.  It needs to be equal \
                     in major version and less than or equal in minor version as the specified \
                     version cap {cap}."
                ),
            ));
        }
        self.transport.wire().check_serialization(options.serialization.as_ref())
    }

    /// [`check`](Self::check) for calls.
    pub(super) fn check_call(&self) -> Result<(), Error> {
        if self.options.target.is_fanout() {
            return Err(self.options.target.invalid("A call cannot be used with fanout"));
        }
        if self.timeout().is_zero() {
            return Err(Error::new(
                ErrorKind::ClientSendError,
                "a call needs a timeout above zero, or no reply could ever come in time",
            ));
        }
        self.check()
    }

    /// The body of a request, passed through the client's serializer if it has one.
    pub(super) fn render<A: Serialize + ?Sized>(
        &self,
        context: &Context,
        method: &str,
        args: &A,
        call: Option<CallFields<'_>>,
    ) -> Result<Body, Error> {
        if let Some(serializer) = &self.options.serializer {
            let (context, args) =
                serialized::serialize_request(serializer.as_ref(), context, args)?;
            return self.render_serialized(&context, method, &args, call);
        }
        self.render_serialized(context, method, args, call)
    }

    fn render_serialized<A: Serialize + ?Sized>(
        &self,
        context: &Context,
        method: &str,
        args: &A,
        call: Option<CallFields<'_>>,
    ) -> Result<Body, Error> {
        let unique_id = self.transport.ids().unique_id();
        let msg_id = call.as_ref().map(|call| call.msg_id);
        let request = Request {
            method,
            args,
            namespace: self.options.target.namespace(),
            version: self.options.version.as_deref(),
            context,
            unique_id,
            call,
        };
        let format = self.format();
        let body = Body::render(|body| format.encode_request(body, &request))?;
        Ok(body.with_ids(format.message_ids(unique_id, msg_id)))
    }
}
