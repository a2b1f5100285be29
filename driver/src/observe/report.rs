//! What a collector of oslo.metrics is told about a call or cast, as oslo's client tells it.
//!
//! A begin, and at the end either how long it took and an end, or an exception; one whose future
//! was dropped has no end. Byte for byte as Python writes it. Not here: how reports leave
//! (`collector`).

use std::borrow::Cow;
use std::time::Instant;

use serde::Serialize;

use super::collector::MetricsCollectorClient;
use crate::codec::json;
use crate::error::{Error, ErrorKind};
use crate::message::target::Target;
use crate::runtime::timer;

/// oslo.metrics' name of the one module that reports.
const MODULE: &str = "oslo_messaging";

/// A call or cast that is reported.
pub(crate) struct InvocationReport<'a> {
    collector: &'a MetricsCollectorClient,
    labels: Labels<'a>,
    begun: Instant,
}

/// In oslo's order.
#[derive(Serialize)]
struct Labels<'a> {
    call_type: &'a str,
    exchange: Option<&'a str>,
    topic: Option<&'a str>,
    namespace: Option<&'a str>,
    version: Option<&'a str>,
    server: Option<&'a str>,
    fanout: Option<bool>,
    method: &'a str,
    /// oslo's client never fills it in.
    timeout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exception: Option<Cow<'a, str>>,
    process: &'a str,
}

#[derive(Serialize)]
struct Metric<'a> {
    module: &'a str,
    name: &'a str,
    action: Action,
    labels: &'a Labels<'a>,
}

#[derive(Serialize)]
struct Action {
    value: Option<f64>,
    action: &'static str,
}

const INC: Action = Action { value: None, action: "inc" };

impl<'a> InvocationReport<'a> {
    /// Reports the begin of a `call` or `cast`.
    pub(crate) fn start(
        collector: &'a MetricsCollectorClient,
        target: &'a Target,
        version: Option<&'a str>,
        (call_type, method): (&'a str, &'a str),
    ) -> Self {
        let labels = Labels {
            call_type,
            exchange: target.exchange(),
            topic: target.topic(),
            namespace: target.namespace(),
            version,
            server: target.server(),
            fanout: target.is_fanout().then_some(true),
            method,
            timeout: None,
            exception: None,
            process: collector.process_name(),
        };
        let reported = Self { collector, labels, begun: timer::now() };
        reported.put("rpc_client_invocation_start_total", INC);
        reported
    }

    /// Reports the end.
    pub(crate) fn finish<T>(mut self, result: &Result<T, Error>) {
        match result {
            Ok(_) => {
                let took = timer::now().saturating_duration_since(self.begun).as_secs_f64();
                let observed = Action { value: Some(took), action: "observe" };
                self.put("rpc_client_processing_seconds", observed);
                self.put("rpc_client_invocation_end_total", INC);
            }
            Err(error) => {
                self.labels.exception = Some(exception(error));
                self.put("rpc_client_exception_total", INC);
            }
        }
    }

    fn put(&self, name: &str, action: Action) {
        let metric = Metric { module: MODULE, name, action, labels: &self.labels };
        let mut text = Vec::with_capacity(384);
        if json::write::<0, _>(&mut text, &metric).is_ok() {
            self.collector.put(text);
        }
    }
}

/// The name of the class a Python caller would catch: of a remote exception its own if that may be
/// matched, with oslo's suffix if it is none of Python's built-in ones.
fn exception(error: &Error) -> Cow<'static, str> {
    match error.remote().filter(|remote| remote.is_allowed()) {
        Some(remote) if matches!(remote.module(), "builtins" | "exceptions") => {
            remote.class().to_owned().into()
        }
        Some(remote) => format!("{}_Remote", remote.class()).into(),
        None => match error.kind() {
            ErrorKind::RemoteError => "RemoteError".into(),
            kind => format!("{kind:?}").into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::failure::Failure;

    #[test]
    fn exceptions_have_the_names_python_sees() {
        let remote = |failure, is_allowed| Error::from_remote(failure, is_allowed);
        let own = || Failure::new("NotFound", "nova.exception", "no");
        for (error, name) in [
            (remote(Failure::builtin("ValueError", "no"), true), "ValueError"),
            (remote(own(), true), "NotFound_Remote"),
            (remote(own(), false), "RemoteError"),
            (Error::new(ErrorKind::MessagingTimeout, "late"), "MessagingTimeout"),
        ] {
            assert_eq!(exception(&error), name);
        }
    }
}
