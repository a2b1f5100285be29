//! Finds options that contradict each other when a transport is made, before a broker refuses them.
//!
//! oslo has the same rules. Not here: values that are invalid by themselves (`registry::value`).

use crate::codec::serialization::Serialization;
use crate::config::driver_config::DriverConfig;
use crate::config::options::dialects::SendingDialect;
use crate::error::{Error, ErrorKind};

/// Returns an error for options that cannot be combined.
pub(super) fn check(config: &DriverConfig) -> Result<(), Error> {
    let entities = &config.entities;
    let sending = config.sending.unwrap_or_default();
    let is_json = matches!(config.pika.serialization, Serialization::Json);
    let rules = [
        (
            entities.ha && (entities.quorum || entities.transient_quorum),
            "rabbit_ha_queues excludes rabbit_quorum_queue and rabbit_transient_quorum_queue: a \
             queue is mirrored or a quorum queue, not both",
        ),
        (
            entities.stream_fanout && !entities.transient_quorum,
            "rabbit_stream_fanout needs rabbit_transient_quorum_queue: the fanout exchange of a \
             stream is durable",
        ),
        (
            entities.stream_fanout && config.prefetch == 0,
            "rabbit_stream_fanout needs rabbit_qos_prefetch_count above 0: streams are read with \
             a prefetch",
        ),
        (
            !config.stable_names.are_valid(),
            "hostname and processname become parts of names: neither slashes nor more than 100 \
             bytes fit",
        ),
        (
            sending == SendingDialect::Auto && config.compression.is_some(),
            "dialect_sending = auto excludes kombu_compression: servers of the `pika` dialect \
             cannot read what is compressed",
        ),
        (
            sending != SendingDialect::Pika && !is_json,
            "default_serializer_type needs dialect_sending = pika (or a pika:// URL) to be \
             anything but json: servers of the `rabbit` dialect, who read what kombu and auto \
             send, know JSON alone",
        ),
        (
            config.connection_factory.is_some_and(|factory| !factory.is_valid())
                || config.pika.connection_factory.is_some_and(|factory| !factory.is_valid()),
            "connection_factory = pool takes from 1 to 256 connections",
        ),
    ];
    match rules.into_iter().find(|(broken, _)| *broken) {
        Some((_, text)) => Err(Error::new(ErrorKind::InvalidOptions, text)),
        None if config.pool.size < config.pool.size_min => Err(Error::new(
            ErrorKind::InvalidOptions,
            format!(
                "rpc_conn_pool_size: {} must be greater than or equal to conn_pool_min_size: {}",
                config.pool.size, config.pool.size_min
            ),
        )),
        None if config.stable_names.enabled => config.stable_names.lock_folder().map(drop),
        None => Ok(()),
    }
}
