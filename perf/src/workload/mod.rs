//! What is measured: the catalogue of workloads, and the suites that are made of it.

pub(crate) mod catalogue;
pub(crate) mod lengths;
pub(crate) mod promises;
pub(crate) mod suite;
pub(crate) mod workload;
