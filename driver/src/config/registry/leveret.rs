//! The group of what oslo does not have, in the order of names.

use crate::config::registry::row::{Row, rows};
use crate::config::registry::{choices, dialect_choices};

pub(crate) static LEVERET_ROWS: &[Row] = rows! {
    "backend" => Choice(choices::BACKEND), "how sockets are driven: auto, uring or epoll";
    "block_bytes" => Count(driver.connection.block_bytes, 4096..=16 << 20),
        "size of a block that is read into";
    "blocks_max" => Count(driver.connection.blocks_max, 1..=65_536),
        "blocks a connection keeps, made on demand; when all are lent out, reading stops";
    "body_max" => Count(driver.connection.body_max, 1..=1 << 40),
        "largest message accepted from the broker, in bytes";
    "busy_poll_us" => Micros(engine.busy_poll), "polling before a shard sleeps";
    "confirm_timeout" => Seconds(driver.connection.confirm_timeout),
        "how long a broker may confirm nothing before it is left for the next; 0: for ever";
    "connect" => Choice(choices::CONNECT),
        "eager: a transport needs a broker to begin with; lazy: it goes on trying";
    "connect_deadline" => Seconds(driver.connection.connect_deadline),
        "how long a first connect keeps going round the hosts; 0: once";
    "connect_timeout" => Seconds(driver.connection.connect_timeout),
        "how long a TCP connect may take, per address of a host";
    "connection_factory" => Choice(dialect_choices::CONNECTION_FACTORY),
        "single, read_write, new, pool:<n> or per_shard; empty: new";
    "cores" => Choice(choices::CORES),
        "a shard on each of these cores, as in 0,2-4; empty: not pinned";
    "dialect_sending" => Choice(dialect_choices::DIALECT_SENDING),
        "what clients and notifiers send: kombu, pika or auto; empty: by the URL's scheme";
    "dialect_serving" => Choice(dialect_choices::DIALECT_SERVING),
        "what servers and listeners understand: kombu, pika or both; empty: by the scheme";
    "handshake_timeout" => Seconds(driver.connection.handshake_timeout),
        "how long the AMQP handshake may take";
    "nack_retry" => Seconds(driver.connection.nack_retry),
        "how long a message that the broker refuses is sent again; 0: not at all";
    "operation_timeout" => Seconds(driver.connection.operation_timeout),
        "how long a declaration may take";
    "outbox_bytes" => Count(driver.connection.outbox_bytes, 4096..=1 << 30),
        "what a channel keeps in memory for sending";
    "redelivered" => Choice(dialect_choices::REDELIVERED),
        "dispatch or refuse requests that the broker has delivered before";
    "resolve_timeout" => Seconds(driver.connection.resolve_timeout),
        "how long the resolver may take for the name of a host";
    "shards" => Count(engine.shards, 1..=1024),
        "threads of the engine; with cores, as many as are named there";
    "topology_audit_interval" => Seconds(driver.connection.topology_audit_interval),
        "how often queues and bindings are declared again; 0: when one is found missing";
    "user_timeout" => Seconds(driver.connection.user_timeout),
        "TCP_USER_TIMEOUT: sent bytes the peer's kernel leaves unacknowledged; 0: the system's";
};
