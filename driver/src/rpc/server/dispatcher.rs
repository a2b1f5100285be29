//! Finds the method that serves a request, by oslo's rules.
//!
//! The first compatible endpoint that has the method wins. A request that matches no namespace and
//! version gets `UnsupportedVersion`, a method that no endpoint has `NoSuchMethod`. Not here:
//! calling the method (`processor`), sending the reply (`transport`).

use crate::error::failure::Failure;
use crate::message::IncomingRequest;
use crate::message::version::Version;
use crate::rpc::server::access::AccessPolicy;
use crate::rpc::server::endpoint::Endpoint;
use crate::rpc::server::method::RegisteredMethod;

/// The endpoints of a server, and which of their methods callers may reach.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    endpoints: Vec<Endpoint>,
    policy: AccessPolicy,
}

impl Dispatcher {
    pub(crate) const fn new(endpoints: Vec<Endpoint>, policy: AccessPolicy) -> Self {
        Self { endpoints, policy }
    }

    pub(crate) fn has_async_methods(&self) -> bool {
        self.endpoints.iter().any(Endpoint::has_async_methods)
    }

    /// The method that serves this request, or the failure for its caller.
    pub(crate) fn find(&self, request: &IncomingRequest<'_>) -> Result<&RegisteredMethod, Failure> {
        let name = request.method.as_deref().unwrap_or("None");
        let asked = request.version.as_deref();
        let version = match asked.map(str::parse::<Version>) {
            None => Some(Version::default()),
            Some(parsed) => parsed.ok(),
        };
        let namespace = request.namespace.as_deref();
        let mut is_compatible = false;
        for endpoint in &self.endpoints {
            let serves = version.is_some_and(|version| endpoint.version().serves(&version));
            if !serves || !endpoint.is_of_namespace(namespace) {
                continue;
            }
            is_compatible = true;
            if let Some(method) = endpoint.find(name)
                && self.policy.allows(endpoint, name)
            {
                return Ok(method);
            }
        }
        Err(if is_compatible {
            Failure::no_such_method(name)
        } else {
            Failure::unsupported_version(asked.unwrap_or("1.0"), name)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::codec::encoded::Encoded;
    use crate::dialect::format::WireFormat;
    use crate::message::context::Context;
    use crate::message::ids::Hex32;
    use crate::rpc::server::method::Method;

    fn named(name: &'static str) -> Endpoint {
        Endpoint::new().method("who", move |_: Context, (): ()| Ok::<_, Failure>(name))
    }

    fn dispatcher() -> Dispatcher {
        let endpoints = vec![
            named("first").with_version(Version::new(1, 2)),
            named("second").method("only", |_, (): ()| Ok::<_, Failure>(2)),
            named("third").with_namespace("ns").with_version(Version::new(2, 0)),
            named("fourth").with_namespace("new").with_legacy_namespace(Some("old")),
        ];
        Dispatcher::new(endpoints, AccessPolicy::Default)
    }

    fn ask(method: &str, namespace: Option<&str>, version: Option<&str>) -> Result<Value, Failure> {
        let request = IncomingRequest {
            method: Some(method.to_owned().into()),
            namespace: namespace.map(|text| text.to_owned().into()),
            version: version.map(|text| text.to_owned().into()),
            ..IncomingRequest::default()
        };
        run(&dispatcher().find(&request)?.method, "{}")
    }

    fn run(method: &Method, args: &str) -> Result<Value, Failure> {
        let args = Encoded::json(args.as_bytes());
        let answer = match method {
            Method::Plain(function) => function(Context::new(), &args),
            Method::Async(function) => leveret_engine::block_on(function(Context::new(), &args)),
        }?;
        let mut body = Vec::new();
        let id = Hex32::from_digits(&[b'0'; 32]).unwrap();
        answer.encode(&mut body, &WireFormat::Kombu, id.as_str(), id).unwrap();
        let mut scratch = crate::dialect::body::scratch::Scratch::default();
        let reply = crate::dialect::kombu::decode::reply(&body, &mut scratch).unwrap();
        Ok(reply.result.unwrap_or(Encoded::json(b"null")).read().unwrap())
    }

    #[test]
    fn the_first_compatible_endpoint_with_the_method_wins() {
        assert_eq!(ask("who", None, None).unwrap(), "first");
        assert_eq!(ask("who", None, Some("1.2")).unwrap(), "first");
        assert_eq!(ask("only", None, None).unwrap(), 2);
        assert_eq!(ask("who", Some("ns"), Some("2.0")).unwrap(), "third");
        assert_eq!(ask("who", Some("old"), None).unwrap(), "fourth");
    }

    #[test]
    fn what_nobody_serves_is_named_as_by_oslo() {
        for (method, namespace, version, class) in [
            ("absent", None, None, "NoSuchMethod"),
            ("only", None, Some("1.1"), "NoSuchMethod"),
            ("who", None, Some("1.3"), "UnsupportedVersion"),
            ("who", Some("ns"), None, "UnsupportedVersion"),
            ("who", Some("else"), None, "UnsupportedVersion"),
            ("who", None, Some("garbage"), "UnsupportedVersion"),
        ] {
            let failure = ask(method, namespace, version).unwrap_err();
            assert_eq!(failure.class(), class, "{method} {namespace:?} {version:?}");
            assert_eq!(failure.module(), "oslo_messaging.rpc.dispatcher");
        }
    }

    #[test]
    fn a_forbidden_method_is_none() {
        let found = |policy: AccessPolicy, method: &'static str| {
            let hidden = Endpoint::new()
                .method("_hidden", |_, (): ()| Ok::<_, Failure>(1))
                .method("open", |_, (): ()| Ok::<_, Failure>(2))
                .exposed()
                .method("shut", |_, (): ()| Ok::<_, Failure>(3));
            let method = Some(method.into());
            let request = IncomingRequest { method, ..IncomingRequest::default() };
            let dispatcher = Dispatcher::new(vec![hidden], policy);
            let class = dispatcher.find(&request).err().map(|failure| failure.class().to_owned());
            assert!(matches!(class.as_deref(), None | Some("NoSuchMethod")), "{class:?}");
            class.is_none()
        };
        assert!(!found(AccessPolicy::default(), "_hidden"));
        assert!(found(AccessPolicy::default(), "shut"));
        assert!(found(AccessPolicy::Legacy, "_hidden"));
        assert!(found(AccessPolicy::Explicit, "open") && !found(AccessPolicy::Explicit, "shut"));
        let by_name = AccessPolicy::by(|endpoint, method| {
            endpoint.namespace().is_none() && *endpoint.version() == Version::new(1, 0) && {
                method == "shut"
            }
        });
        assert!(found(by_name.clone(), "shut") && !found(by_name, "open"));
    }

    #[test]
    fn expected_exceptions_are_known_by_class_or_path() {
        let endpoint = Endpoint::new()
            .method("find", |_, (): ()| Ok::<_, Failure>(()))
            .expecting(["KeyError", "nova.exception.NotFound"]);
        let method = endpoint.find("find").unwrap();
        assert!(method.expects(&Failure::builtin("KeyError", "k")));
        assert!(method.expects(&Failure::new("NotFound", "nova.exception", "n")));
        assert!(!method.expects(&Failure::new("NotFound", "cinder.exception", "n")));
        assert!(!method.expects(&Failure::builtin("ValueError", "v")));
    }

    #[derive(serde::Deserialize)]
    struct Add {
        value: i64,
        increment: i64,
    }

    fn endpoint() -> Endpoint {
        Endpoint::new()
            .method("add", |_, Add { value, increment }| {
                value.checked_add(increment).ok_or_else(|| Failure::builtin("OverflowError", "big"))
            })
            .method("panic", |_, (): ()| -> Result<(), Failure> { panic!("on purpose") })
            .async_method("later", |context: Context, args: Value| async move {
                Ok::<_, Failure>(json!([context.get("user"), args]))
            })
            .async_method("later_panic", |_, (): ()| async {
                if true {
                    panic!("on purpose")
                }
                Ok::<_, Failure>(())
            })
    }

    fn call(method: &str, args: &str) -> Result<Value, Failure> {
        run(&endpoint().find(method).unwrap().method, args)
    }

    #[test]
    fn arguments_and_results_are_typed() {
        assert_eq!(call("add", r#"{"value": 1, "increment": 2}"#).unwrap(), 3);
        assert_eq!(call("later", r#"{"a": 1}"#).unwrap(), json!([null, {"a": 1}]));
        let failure = call("add", r#"{"value": 1}"#).unwrap_err();
        assert_eq!((failure.class(), failure.module()), ("TypeError", "builtins"));
        let failure = call("add", &format!(r#"{{"value": {}, "increment": 1}}"#, i64::MAX));
        assert_eq!(failure.unwrap_err().class(), "OverflowError");
    }

    #[test]
    fn a_panic_is_a_failure() {
        for method in ["panic", "later_panic"] {
            let failure = call(method, "{}").unwrap_err();
            assert_eq!(failure.class(), "RuntimeError");
            assert_eq!(failure.message(), "the endpoint panicked: on purpose");
        }
    }
}
