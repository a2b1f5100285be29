//! The keys of bodies.

/// What the context's keys are prefixed with in the `kombu` format.
pub(in crate::dialect) const KOMBU_CONTEXT_PREFIX: &str = "_context_";
/// What they are prefixed with in the `pika` format.
pub(in crate::dialect) const PIKA_CONTEXT_PREFIX: &str = "_$_";
