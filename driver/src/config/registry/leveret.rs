//! The options that oslo does not have, sorted by name.

use crate::config::registry::row::{Row, rows};
use crate::config::registry::{choices, dialect_choices};

pub(crate) static LEVERET_ROWS: &[Row] = rows! {
    "backend" => Choice(choices::BACKEND), "the I/O interface: auto, uring or epoll";
    "block_bytes" => Integer(driver.connection.block_bytes, 4096..=16 << 20),
        "the largest size of a block of the read buffer";
    "blocks_max" => Integer(driver.connection.blocks_max, 1..=65_536),
        "blocks per connection, allocated on demand; while all are in use, reading pauses";
    "body_max" => Integer(driver.connection.body_max, 1..=1 << 40),
        "the largest message accepted from the broker, in bytes";
    "busy_poll_us" => Microseconds(engine.busy_poll), "how long a shard polls before it sleeps";
    "call_confirms" => Choice(dialect_choices::CALL_CONFIRMS),
        "confirm each request of a call and each reply, or several together";
    "confirm_timeout" => Seconds(driver.connection.confirm_timeout),
        "how long a broker may confirm nothing before the next is tried; 0: for ever";
    "connect" => Choice(choices::CONNECT),
        "eager: a transport needs a broker at its start; lazy: it connects later";
    "connect_deadline" => Seconds(driver.connection.connect_deadline),
        "how long a first connect tries the hosts again and again; 0: each once";
    "connect_timeout" => Seconds(driver.connection.connect_timeout),
        "the timeout of a TCP connect, per address of a host";
    "connection_factory" => Choice(dialect_choices::CONNECTION_FACTORY),
        "single, read_write, new, pool:<n> or per_shard; empty: new";
    "cores" => Choice(choices::CORES),
        "a shard on each of these cores, as in 0,2-4; empty: not pinned";
    "dialect_sending" => Choice(dialect_choices::DIALECT_SENDING),
        "the dialect of clients and notifiers: kombu, pika or auto; empty: by the URL's scheme";
    "dialect_serving" => Choice(dialect_choices::DIALECT_SERVING),
        "the dialects of servers and listeners: kombu, pika or both; empty: by the URL's scheme";
    "handshake_timeout" => Seconds(driver.connection.handshake_timeout),
        "the timeout of the AMQP handshake, and of that of TLS";
    "nack_retry_timeout" => Seconds(driver.connection.nack_retry_timeout),
        "how long a message that the broker refuses is sent again; 0: not at all";
    "operation_timeout" => Seconds(driver.connection.operation_timeout),
        "the timeout of a declaration";
    "outbox_bytes" => Integer(driver.connection.outbox_bytes, 4096..=1 << 30),
        "bytes that a channel keeps in memory for sending";
    "redelivered" => Choice(dialect_choices::REDELIVERED),
        "dispatch or refuse requests that the broker redelivers";
    "request_acks" => Choice(dialect_choices::REQUEST_ACKS),
        "acknowledge each request at once, or several together";
    "resolve_timeout" => Seconds(driver.connection.resolve_timeout),
        "the timeout of name resolution, per host";
    "shards" => Integer(engine.shards, 1..=1024),
        "threads of the engine; with cores, their number";
    "ssl_key_password" => Secret(driver.tls.key_password),
        "the password of the key in ssl_key_file";
    "ssl_verify" => Flag(driver.tls.verify),
        "verify the broker's certificate; false: an attacker can read a redirected connection";
    "tcp_user_timeout" => Seconds(driver.connection.tcp_user_timeout),
        "TCP_USER_TIMEOUT: how long sent data may stay unacknowledged; 0: the system's default";
    "topology_audit_interval" => Seconds(driver.connection.topology_audit_interval),
        "how often queues and bindings are declared again; 0: only after one is found missing";
};
