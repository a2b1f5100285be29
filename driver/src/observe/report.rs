//! Reports of calls and casts to a collector of oslo.metrics, byte for byte as oslo's client.
//!
//! An invocation has one report at its start. At its end it has a duration and an end, or an
//! exception; an invocation whose future was dropped has no end. `collector` sends the reports.

use std::borrow::Cow;
use std::time::Instant;

use serde::Serialize;

use crate::codec::json;
use crate::error::{Error, ErrorKind};
use crate::message::target::Target;
use crate::observe::collector::MetricsCollectorClient;
use crate::runtime::timer;

/// The module in every report, as oslo.metrics names it.
const MODULE: &str = "oslo_messaging";

/// Reports one call or cast.
pub(crate) struct InvocationReport<'a> {
    collector: &'a MetricsCollectorClient,
    labels: Labels<'a>,
    start: Instant,
}

/// The labels of a report, in oslo's order.
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
    /// Reports the start of an invocation; `call_type` is `call` or `cast`.
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
        let report = Self { collector, labels, start: timer::now() };
        report.put("rpc_client_invocation_start_total", INC);
        report
    }

    /// Reports the end of the invocation.
    pub(crate) fn finish<T>(mut self, result: &Result<T, Error>) {
        match result {
            Ok(_) => {
                let took = timer::now().saturating_duration_since(self.start).as_secs_f64();
                let observed = Action { value: Some(took), action: "observe" };
                self.put("rpc_client_processing_seconds", observed);
                self.put("rpc_client_invocation_end_total", INC);
            }
            Err(error) => {
                self.labels.exception = Some(exception_name(error));
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

/// Returns the name of the class that a Python caller would catch. A remote exception of an allowed
/// module has its own name, with oslo's suffix unless it is one of Python's built-in exceptions.
fn exception_name(error: &Error) -> Cow<'static, str> {
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
    fn exceptions_have_the_names_that_python_callers_catch() {
        let remote = |failure, is_allowed| Error::from_remote(failure, is_allowed);
        let own = || Failure::new("NotFound", "nova.exception", "no");
        for (error, name) in [
            (remote(Failure::builtin("ValueError", "no"), true), "ValueError"),
            (remote(own(), true), "NotFound_Remote"),
            (remote(own(), false), "RemoteError"),
            (Error::new(ErrorKind::MessagingTimeout, "late"), "MessagingTimeout"),
        ] {
            assert_eq!(exception_name(&error), name);
        }
    }
}
