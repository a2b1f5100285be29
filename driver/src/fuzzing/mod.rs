//! Entry points of the fuzz targets in `driver/fuzz`. Internal, not part of the public interface.
//!
//! Each function takes one input of the fuzzer. It panics if an invariant of the driver does not
//! hold, or if an oracle disagrees: `serde_json` for JSON, `rmp-serde` for msgpack, one dialect for
//! the other. Not here: the fuzzer and its seeds.

mod configuration;
mod messages;
mod request_values;
mod values;

pub use crate::fuzzing::configuration::{ini, toml, url};
pub use crate::fuzzing::messages::{kombu_json, pika_json, pika_msgpack};
pub use crate::fuzzing::values::{json_text, msgpack};
