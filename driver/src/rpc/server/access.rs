//! The access policies of oslo: which methods of a server callers may reach.
//!
//! The caller of a forbidden method gets `NoSuchMethod`. Not here: which methods there are
//! (`endpoint`), which endpoint serves a request (`dispatcher`).

use std::fmt;
use std::sync::Arc;

use crate::rpc::server::endpoint::Endpoint;

/// Which methods callers may reach.
///
/// ```
/// use leveret::{AccessPolicy, Context, Endpoint, Failure};
///
/// let endpoint = Endpoint::new()
///     .method("add", |_: Context, _: serde_json::Value| Ok::<_, Failure>(3))
///     .exposed()
///     .method("reset_everything", |_, (): ()| Ok::<_, Failure>(()));
/// assert!(AccessPolicy::Explicit.allows(&endpoint, "add"));
/// assert!(!AccessPolicy::Explicit.allows(&endpoint, "reset_everything"));
///
/// let readers = AccessPolicy::by(|_, method| method.starts_with("get_"));
/// assert!(!readers.allows(&endpoint, "add"));
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum AccessPolicy {
    /// Every method whose name does not begin with an underscore.
    #[default]
    Default,
    /// Every method.
    Legacy,
    /// Methods marked by [`Endpoint::exposed`].
    Explicit,
    /// The methods that a function allows; see [`AccessPolicy::by`].
    By(Arc<Allows>),
}

/// Whether a method of an endpoint may be reached. Called for every request, so it should be quick;
/// it must not panic.
pub type Allows = dyn Fn(&Endpoint, &str) -> bool + Send + Sync;

impl AccessPolicy {
    /// The policy that allows a method where `allows` says so.
    pub fn by(allows: impl Fn(&Endpoint, &str) -> bool + Send + Sync + 'static) -> Self {
        Self::By(Arc::new(allows))
    }

    /// Whether callers may reach `method` of `endpoint`.
    pub fn allows(&self, endpoint: &Endpoint, method: &str) -> bool {
        match self {
            Self::Default => !method.starts_with('_'),
            Self::Legacy => true,
            Self::Explicit => endpoint.is_exposed(method),
            Self::By(allows) => allows(endpoint, method),
        }
    }
}

impl fmt::Debug for AccessPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "Default",
            Self::Legacy => "Legacy",
            Self::Explicit => "Explicit",
            Self::By(_) => "By",
        })
    }
}
