//! The endpoints of a listener: the user's functions for priorities, called with one notification
//! or with a batch.
//!
//! Types are erased here once. A payload that does not fit, an error and a panic are failures;
//! after a failure the notification is delivered again, if the listener allows requeuing. A panic,
//! in the payload's reading and the error's text as well, fails the notifications of that call
//! alone. Not here: the order of the endpoints (`processor`).

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use serde::de::DeserializeOwned;

use crate::message::priority::Priority;
use crate::notify::listener::filter::NotificationFilter;
use crate::notify::listener::received::Received;
use crate::notify::listener::verdict::{Answer, Verdict};
use crate::notify::notification::Notification;
use crate::runtime::panics::{catch_panic, catch_panic_async};

/// Functions that a [`NotificationListener`](crate::NotificationListener) calls with notifications.
///
/// A listener subscribes to the priorities that some endpoint has a function for.
///
/// ```
/// use leveret::{Notification, NotificationEndpoint, NotificationResult, Priority};
/// use serde_json::Value;
///
/// let endpoint = NotificationEndpoint::new()
///     .info(|notification: Notification| println!("{}", notification.event_type))
///     .error(|notification: Notification<Value>| match notification.payload["retry"].as_bool() {
///         Some(true) => NotificationResult::Requeue,
///         _ => NotificationResult::Handled,
///     })
///     .on_batch(Priority::Sample, |samples: Vec<Notification<f64>>| {
///         println!("{} samples", samples.len());
///     });
/// ```
///
/// The payload is any type that serde can read, `serde_json::Value` for any payload.
#[derive(Default)]
pub struct NotificationEndpoint {
    filter: Option<NotificationFilter>,
    functions: Vec<(Priority, Function)>,
}

/// One function, its types erased.
pub(crate) struct Function {
    /// Gets all notifications of a batch at once.
    pub(crate) takes_batch: bool,
    pub(crate) is_async: bool,
    pub(crate) run: Run,
}

type Run = Box<dyn Fn(&[&Received]) -> FunctionCall + Send + Sync>;

/// A function that was called with the notifications that could be read.
pub(crate) struct FunctionCall {
    pub(crate) verdict: PendingVerdict,
    /// The indexes of those that could not be read, and why.
    pub(crate) unreadable: Vec<(usize, String)>,
}

/// A function that has returned, or its future.
pub(crate) enum PendingVerdict {
    Ready(Verdict),
    Awaited(Pin<Box<dyn Future<Output = Verdict> + Send>>),
}

/// One `on` for each priority, named as in oslo.
macro_rules! priorities {
    ($($name:ident $priority:ident)*) => {$(
        #[doc = concat!("[`on`](Self::on) for [`Priority::", stringify!($priority), "`].")]
        #[must_use]
        pub fn $name<T, A, F>(self, function: F) -> Self
        where
            T: DeserializeOwned,
            A: Answer,
            F: Fn(Notification<T>) -> A + Send + Sync + 'static,
        {
            self.on(Priority::$priority, function)
        }
    )*};
}

impl NotificationEndpoint {
    /// An endpoint without functions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls the endpoint only with notifications that pass `filter`. Others count as handled by
    /// it.
    #[must_use]
    pub fn with_filter(mut self, filter: NotificationFilter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Adds a function for one priority, called with each notification.
    #[must_use]
    pub fn on<T, A, F>(self, priority: Priority, function: F) -> Self
    where
        T: DeserializeOwned,
        A: Answer,
        F: Fn(Notification<T>) -> A + Send + Sync + 'static,
    {
        self.with(priority, (false, false), move |received| {
            FunctionCall::with(received, |read| {
                PendingVerdict::Ready(function(only(read)).verdict())
            })
        })
    }

    /// Adds an async function for one priority, called with each notification.
    #[must_use]
    pub fn async_on<T, A, F, R>(self, priority: Priority, function: F) -> Self
    where
        T: DeserializeOwned,
        A: Answer,
        F: Fn(Notification<T>) -> R + Send + Sync + 'static,
        R: Future<Output = A> + Send + 'static,
    {
        self.with(priority, (false, true), move |received| {
            FunctionCall::with(received, |read| awaited(function(only(read))))
        })
    }

    /// Adds a function for one priority, called with all notifications of a batch; its result
    /// counts for all of them. If the listener allows requeuing, notifications that failed in a
    /// batch come again alone, in batches of one, so that one that always fails does not fail
    /// others. One whose payload is not of this type fails by itself.
    #[must_use]
    pub fn on_batch<T, A, F>(self, priority: Priority, function: F) -> Self
    where
        T: DeserializeOwned,
        A: Answer,
        F: Fn(Vec<Notification<T>>) -> A + Send + Sync + 'static,
    {
        self.with(priority, (true, false), move |received| {
            FunctionCall::with(received, |read| PendingVerdict::Ready(function(read).verdict()))
        })
    }

    /// [`on_batch`](Self::on_batch) with an async function.
    #[must_use]
    pub fn async_on_batch<T, A, F, R>(self, priority: Priority, function: F) -> Self
    where
        T: DeserializeOwned,
        A: Answer,
        F: Fn(Vec<Notification<T>>) -> R + Send + Sync + 'static,
        R: Future<Output = A> + Send + 'static,
    {
        self.with(priority, (true, true), move |received| {
            FunctionCall::with(received, |read| awaited(function(read)))
        })
    }

    priorities! {
        audit Audit
        debug Debug
        info Info
        warn Warn
        error Error
        critical Critical
        sample Sample
    }

    fn with(
        mut self,
        priority: Priority,
        (takes_batch, is_async): (bool, bool),
        run: impl Fn(&[&Received]) -> FunctionCall + Send + Sync + 'static,
    ) -> Self {
        self.functions.retain(|(other, _)| *other != priority);
        self.functions.push((priority, Function { takes_batch, is_async, run: Box::new(run) }));
        self
    }

    pub(crate) fn has_async_functions(&self) -> bool {
        self.functions.iter().any(|(_, function)| function.is_async)
    }

    pub(crate) fn function(&self, priority: Priority) -> Option<&Function> {
        self.functions.iter().find(|(own, _)| *own == priority).map(|(_, function)| function)
    }

    pub(crate) fn accepts(&self, received: &Received) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.passes(received))
    }
}

impl FunctionCall {
    /// Calls `function` with the notifications that can be read, if there are any.
    fn with<T: DeserializeOwned>(
        received: &[&Received],
        function: impl FnOnce(Vec<Notification<T>>) -> PendingVerdict,
    ) -> Self {
        let mut unreadable = Vec::new();
        let mut all = Vec::with_capacity(received.len());
        for (index, one) in received.iter().enumerate() {
            match catch_panic(|| one.read()).and_then(|read| read) {
                Ok(read) => all.push(read),
                Err(error) => unreadable.push((index, error)),
            }
        }
        let verdict = match all.is_empty() {
            true => Ok(PendingVerdict::Ready(Verdict::Handled)),
            false => catch_panic(|| function(all)),
        };
        Self {
            verdict: verdict.unwrap_or_else(|panic| PendingVerdict::Ready(Verdict::Failed(panic))),
            unreadable,
        }
    }
}

fn only<T>(read: Vec<Notification<T>>) -> Notification<T> {
    read.into_iter().next().expect("a function is called with something")
}

fn awaited<A: Answer>(future: impl Future<Output = A> + Send + 'static) -> PendingVerdict {
    let verdict = async { future.await.verdict() };
    PendingVerdict::Awaited(Box::pin(async {
        catch_panic_async(verdict).await.unwrap_or_else(Verdict::Failed)
    }))
}

impl fmt::Debug for NotificationEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let priorities: Vec<_> = self.functions.iter().map(|(priority, _)| priority).collect();
        f.debug_struct("NotificationEndpoint")
            .field("priorities", &priorities)
            .field("filter", &self.filter)
            .finish()
    }
}
