//! What a server offers: methods under a namespace and a version, with their arguments typed by
//! serde.
//!
//! A panicking method costs its own request only. Not here: choosing a method (`dispatcher`).

use std::collections::HashMap;
use std::fmt;
use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::encoded::Encoded;
use crate::error::failure::Failure;
use crate::message::context::Context;
use crate::message::version::Version;
use crate::rpc::server::method::{
    Method, RegisteredMethod, ResultFuture, finished, panicked, read_args,
};
use crate::runtime::panics::{catch_panic, catch_panic_async};

/// Methods that an [`RpcServer`](crate::RpcServer) offers under one namespace and version.
///
/// ```
/// use leveret::{Context, Endpoint, Failure};
///
/// #[derive(serde::Deserialize)]
/// struct Add {
///     value: i64,
///     increment: i64,
/// }
///
/// let endpoint = Endpoint::new()
///     .method("add", |_: Context, args: Add| Ok::<_, Failure>(args.value + args.increment));
/// ```
///
/// With the feature `macros` (on by default) an `impl` block says the same:
///
/// ```
/// use leveret::{Context, Endpoint, Failure};
///
/// struct Calculator;
///
/// #[leveret::endpoint(namespace = "math", version = "1.2")]
/// impl Calculator {
///     #[expose]
///     #[expected_exceptions("OverflowError")]
///     fn add(&self, _: &Context, value: i64, increment: i64) -> Result<i64, Failure> {
///         let overflow = || Failure::builtin("OverflowError", "the sum is too large");
///         value.checked_add(increment).ok_or_else(overflow)
///     }
/// }
///
/// let endpoint = Endpoint::from(Calculator);
/// assert!(endpoint.is_exposed("add"));
/// ```
///
/// Arguments arrive by name: the argument type is a struct, a map, `serde_json::Value`, or `()` for
/// none. Arguments that do not fit are answered with a `TypeError`, as a Python server answers.
///
/// [`exposed`](Self::exposed) and [`expecting`](Self::expecting) say more about the method added
/// last.
#[derive(Default)]
pub struct Endpoint {
    namespaces: Vec<Option<String>>,
    version: Version,
    methods: HashMap<Box<str>, RegisteredMethod>,
    last: Box<str>,
}

impl Endpoint {
    /// An endpoint of version 1.0 in no namespace, without methods.
    pub fn new() -> Self {
        Self { namespaces: vec![None], ..Self::default() }
    }

    /// Sets the namespace.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespaces[0] = Some(namespace.into());
        self
    }

    /// Serves requests for this namespace (`None`: for no namespace), too.
    #[must_use]
    pub fn with_legacy_namespace(mut self, namespace: Option<&str>) -> Self {
        self.namespaces.push(namespace.map(str::to_owned));
        self
    }

    /// Sets the version that the endpoint implements.
    #[must_use]
    pub const fn with_version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Adds a method, an ordinary function. It may block its thread.
    ///
    /// An error that the function returns is raised in the caller, as [`Failure`] says.
    #[must_use]
    pub fn method<T, R, E, F>(self, name: impl Into<String>, function: F) -> Self
    where
        T: DeserializeOwned,
        R: Serialize + Send + 'static,
        E: Into<Failure>,
        F: Fn(Context, T) -> Result<R, E> + Send + Sync + 'static,
    {
        let erased = move |context: Context, args: &Encoded<'_>| {
            catch_panic(|| finished(function(context, read_args(args)?))).unwrap_or_else(panicked)
        };
        self.add(name.into(), Method::Plain(Box::new(erased)))
    }

    /// Adds a method, an async function.
    #[must_use]
    pub fn async_method<T, R, E, F, A>(self, name: impl Into<String>, function: F) -> Self
    where
        T: DeserializeOwned,
        R: Serialize + Send + 'static,
        E: Into<Failure>,
        F: Fn(Context, T) -> A + Send + Sync + 'static,
        A: Future<Output = Result<R, E>> + Send + 'static,
    {
        let erased = move |context: Context, args: &Encoded<'_>| -> ResultFuture {
            match catch_panic(|| Ok(function(context, read_args(args)?))).unwrap_or_else(panicked) {
                Ok(future) => Box::pin(async {
                    let answered = catch_panic_async(async { finished(future.await) }).await;
                    answered.unwrap_or_else(panicked)
                }),
                Err(failure) => Box::pin(std::future::ready(Err(failure))),
            }
        };
        self.add(name.into(), Method::Async(Box::new(erased)))
    }

    /// Exposes the method added last: callers may reach it under
    /// [`AccessPolicy::Explicit`](crate::AccessPolicy::Explicit) (oslo's `@expose`).
    #[must_use]
    pub fn exposed(mut self) -> Self {
        if let Some(method) = self.methods.get_mut(&self.last) {
            method.is_exposed = true;
        }
        self
    }

    /// Declares exceptions that the method added last is expected to raise: they reach the caller
    /// like any other, but are logged for debugging only (oslo's `@expected_exceptions`). Each is
    /// named by its class, or by module and class (`nova.exception.NotFound`).
    ///
    /// ```
    /// use leveret::{Context, Endpoint, Failure};
    ///
    /// let endpoint = Endpoint::new()
    ///     .method("find", |_: Context, (): ()| Err::<(), _>(Failure::builtin("KeyError", "no")))
    ///     .expecting(["KeyError"]);
    /// ```
    #[must_use]
    pub fn expecting<C: Into<String>>(mut self, classes: impl IntoIterator<Item = C>) -> Self {
        if let Some(method) = self.methods.get_mut(&self.last) {
            method.expected.extend(classes.into_iter().map(|class| class.into().into()));
        }
        self
    }

    fn add(mut self, name: String, method: Method) -> Self {
        let name: Box<str> = name.into();
        self.last.clone_from(&name);
        let registered = RegisteredMethod {
            name: name.clone(),
            method,
            is_exposed: false,
            expected: Vec::new(),
        };
        self.methods.insert(name, registered);
        self
    }

    /// The version it implements.
    pub const fn version(&self) -> &Version {
        &self.version
    }

    /// The namespace of its methods.
    pub fn namespace(&self) -> Option<&str> {
        self.namespaces.first()?.as_deref()
    }

    /// Whether it has this method, and it is [exposed](Self::exposed).
    pub fn is_exposed(&self, method: &str) -> bool {
        self.methods.get(method).is_some_and(|method| method.is_exposed)
    }

    pub(crate) fn is_of_namespace(&self, namespace: Option<&str>) -> bool {
        self.namespaces.iter().any(|own| own.as_deref() == namespace)
    }

    pub(crate) fn find(&self, name: &str) -> Option<&RegisteredMethod> {
        self.methods.get(name)
    }

    pub(crate) fn has_async_methods(&self) -> bool {
        self.methods.values().any(|method| matches!(method.method, Method::Async(_)))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("namespaces", &self.namespaces)
            .field("version", &self.version)
            .field("methods", &self.methods.keys())
            .finish()
    }
}
