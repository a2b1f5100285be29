//! Options of a transport, under their oslo names and with oslo's defaults where it has them.
//!
//! Set in code with `with_*`, in files and the environment through [`Config`], or in the query of
//! the URL, which wins. `options` holds the values, `registry` knows their names, `loader` gathers
//! what is said and `resolve` decides. Every option listed does something; a key that is not listed
//! is an error that names the nearest one that is.

mod check;
pub(crate) mod driver_config;
pub(crate) mod driver_name;
pub(crate) mod loader;
pub(crate) mod options;
mod overrides;
pub(crate) mod registry;
pub(crate) mod resolve;
pub(crate) mod sources;
pub(crate) mod url;

pub use driver_config::{Compression, DriverConfig, LoginMethod};
pub(crate) use driver_name::DriverName;
pub use loader::Config;
pub use options::connection::ConnectionOptions;
pub use options::dialects::{Redelivered, SendingDialect, ServingDialect};
pub use options::entities::{EntityOptions, QueueProfile};
pub use options::factory::ConnectionFactory;
pub use options::metrics::MetricsOptions;
pub use options::notifications::NotificationConfig;
pub use options::pika::PikaOptions;
pub use options::recovery::{Failover, PoolOptions};
pub use options::stable_names::StableNames;
pub use resolve::{Ignored, Setting};
pub use sources::source::Source;
