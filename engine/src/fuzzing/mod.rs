//! Entry points of the fuzz targets in `engine/fuzz`. Internal, not part of the public interface.
//!
//! Each function takes one input of the fuzzer. It panics if an invariant of the engine does not
//! hold, or if amq-protocol, the oracle, disagrees. amq-protocol reads tables recursively and
//! without a limit, so it receives only what the engine did not refuse as nested too deep. The
//! first bytes of an input choose sizes and steps; the others are what the peer sends. `payloads`
//! has the targets of `wire`, the other files those of `proto`, with `peer` as the connection under
//! test. Not here: the fuzzer and its seeds.

mod choices;
mod connections;
mod contents;
mod deliveries;
mod payloads;
mod peer;
mod streams;

pub use crate::fuzzing::connections::{handshake, proto};
pub use crate::fuzzing::contents::content;
pub use crate::fuzzing::deliveries::delivery;
pub use crate::fuzzing::payloads::{methods, properties, tables};
pub use crate::fuzzing::streams::frames;
