//! The method that tells monitoring that a server works (`rpc_ping_enabled`).
//!
//! The user's endpoints come first: one that has a method of that name answers itself.

use serde::de::IgnoredAny;

use crate::error::failure::Failure;
use crate::message::context::Context;
use crate::rpc::server::endpoint::Endpoint;

const METHOD: &str = "oslo_rpc_server_ping";

/// Appends the endpoint that answers with `pong`, in no namespace and version 1.0.
pub(crate) fn append(endpoints: &mut Vec<Endpoint>) {
    if endpoints.iter().any(|endpoint| endpoint.find(METHOD).is_some()) {
        tracing::warn!(
            name: "leveret.ping.shadowed",
            method = METHOD, "an endpoint has this method and answers pings itself"
        );
    }
    let pong = |_: Context, _: IgnoredAny| Ok::<_, Failure>("pong");
    endpoints.push(Endpoint::new().method(METHOD, pong).exposed());
}
