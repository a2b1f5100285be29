//! Header, start, tune, open: what the client sends and accepts during the handshake.
//!
//! AMQP 4.2.2 and 2.2.4; RabbitMQ 4.1 closes connections that negotiate frames below 8192 bytes.

use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, connection};
use amq_protocol::types::{AMQPValue, FieldTable, ShortString};
use zeroize::Zeroizing;

use crate::proto::error::ProtoError;
use crate::proto::text::printable;

/// Largest frame accepted before the frame size is agreed.
pub(super) const FRAME_MAX_BEFORE_TUNE: u32 = 128 * 1024;
/// AMQP's own minimum; a smaller frame cannot carry a handshake.
const FRAME_MAX_FLOOR: u32 = 4096;
/// The minimum of RabbitMQ 4.1 and later.
pub(crate) const FRAME_MAX_MIN: u32 = 8192;

/// The login mechanism with its credentials.
#[derive(Clone)]
pub(crate) enum Credentials {
    Plain { user: String, password: Zeroizing<String> },
    AmqPlain { user: String, password: Zeroizing<String> },
    External,
}

/// Settings of one connection.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) credentials: Credentials,
    pub(crate) vhost: String,
    pub(crate) connection_name: String,
    /// At least 8192; the smaller value of both sides applies.
    pub(crate) frame_max: u32,
    pub(crate) channel_max: u16,
    /// Zero requests no heartbeats; the broker's proposal is then ignored too (as py-amqp does).
    pub(crate) heartbeat: Duration,
    pub(crate) body_max: u64,
}

/// The agreed limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tuned {
    pub(super) frame_max: u32,
    pub(super) channel_max: u16,
    pub(super) heartbeat: Duration,
}

impl Credentials {
    fn mechanism(&self) -> &'static str {
        match self {
            Self::Plain { .. } => "PLAIN",
            Self::AmqPlain { .. } => "AMQPLAIN",
            Self::External => "EXTERNAL",
        }
    }

    /// The response of the mechanism, which holds the password.
    pub(super) fn response(&self) -> Zeroizing<Vec<u8>> {
        // One allocation: a vector that grows leaves copies behind.
        let mut response = Zeroizing::new(Vec::with_capacity(self.response_len()));
        match self {
            Self::Plain { user, password } => {
                for part in [user.as_str(), password.as_str()] {
                    response.push(0);
                    response.extend_from_slice(part.as_bytes());
                }
            }
            Self::AmqPlain { user, password } => {
                for (key, value) in [(LOGIN, user.as_str()), (PASSWORD, password.as_str())] {
                    response.push(key.len() as u8);
                    response.extend_from_slice(key.as_bytes());
                    response.push(b'S');
                    response.extend_from_slice(&(value.len() as u32).to_be_bytes());
                    response.extend_from_slice(value.as_bytes());
                }
            }
            Self::External => {}
        }
        response
    }

    fn response_len(&self) -> usize {
        match self {
            Self::Plain { user, password } => 2 + user.len() + password.len(),
            Self::AmqPlain { user, password } => {
                let heads = [LOGIN, PASSWORD].map(|key| 1 + key.len() + 1 + size_of::<u32>());
                heads.iter().sum::<usize>() + user.len() + password.len()
            }
            Self::External => 0,
        }
    }
}

/// The keys of AMQPLAIN's table.
const LOGIN: &str = "LOGIN";
const PASSWORD: &str = "PASSWORD";

/// What follows the response in `connection.start-ok`.
pub(super) const LOCALE: &str = "en_US";

/// Creates the reply to `connection.start`, with zeros in place of the response.
pub(super) fn start_ok(
    start: &connection::Start,
    settings: &Settings,
) -> Result<AMQPClass, ProtoError> {
    if (start.version_major, start.version_minor) != (0, 9) {
        let (major, minor) = (start.version_major, start.version_minor);
        return Err(ProtoError::Version { major, minor, revision: 0 });
    }
    let offered = String::from_utf8_lossy(start.mechanisms.as_bytes()).into_owned();
    let wanted = settings.credentials.mechanism();
    if !offered.split(' ').any(|mechanism| mechanism == wanted) {
        let offered = printable(&offered).into_owned();
        return Err(ProtoError::Mechanism { wanted, offered });
    }
    Ok(AMQPClass::Connection(connection::AMQPMethod::StartOk(connection::StartOk {
        client_properties: client_properties(&settings.connection_name),
        mechanism: wanted.into(),
        response: vec![0; settings.credentials.response_len()].into(),
        locale: LOCALE.into(),
    })))
}

/// Returns true if the broker supports `connection.update-secret`: RabbitMQ 3.8 and later. The
/// version is the only sign of it.
pub(super) fn supports_update_secret(server: &FieldTable) -> bool {
    let text = |key: &str| match server.inner().get(key) {
        Some(AMQPValue::LongString(text)) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        _ => String::new(),
    };
    let version = text("version");
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    text("product") == "RabbitMQ" && version >= (3, 8)
}

/// Returns the client properties (AMQP 1.4.2.2.1) with the capabilities that RabbitMQ looks for.
fn client_properties(connection_name: &str) -> FieldTable {
    let mut capabilities = FieldTable::default();
    for capability in [
        "publisher_confirms",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "authentication_failure_close",
        "exchange_exchange_bindings",
    ] {
        capabilities.insert(capability.into(), AMQPValue::Boolean(true));
    }
    let mut properties = FieldTable::default();
    for (key, value) in [
        ("product", "Leveret"),
        ("version", env!("CARGO_PKG_VERSION")),
        ("platform", "Rust"),
        ("connection_name", connection_name),
    ] {
        properties.insert(key.into(), AMQPValue::LongString(value.as_bytes().to_vec().into()));
    }
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    properties
}

/// Agrees on limits after `connection.tune`: the smaller value of both sides, where zero means no
/// limit.
pub(super) fn tune(tune: &connection::Tune, settings: &Settings) -> Result<Tuned, ProtoError> {
    let frame_max = smaller_nonzero(tune.frame_max, settings.frame_max.max(FRAME_MAX_MIN));
    if frame_max < FRAME_MAX_FLOOR {
        return Err(ProtoError::FrameMaxTooSmall(frame_max));
    }
    let channel_max = match (tune.channel_max, settings.channel_max) {
        (0, 0) => u16::MAX,
        (theirs, ours) => smaller_nonzero(theirs.into(), ours.into()) as u16,
    };
    // The interval is sent in whole seconds; less than one second would round to "none".
    let ours = settings.heartbeat.as_secs_f64().ceil() as u32;
    let heartbeat = if ours == 0 { 0 } else { smaller_nonzero(tune.heartbeat.into(), ours) };
    Ok(Tuned { frame_max, channel_max, heartbeat: Duration::from_secs(heartbeat.into()) })
}

pub(super) fn tune_ok(tuned: Tuned) -> AMQPClass {
    AMQPClass::Connection(connection::AMQPMethod::TuneOk(connection::TuneOk {
        channel_max: tuned.channel_max,
        frame_max: tuned.frame_max,
        heartbeat: tuned.heartbeat.as_secs() as u16,
    }))
}

pub(super) fn open(vhost: &str) -> AMQPClass {
    AMQPClass::Connection(connection::AMQPMethod::Open(connection::Open {
        virtual_host: short(vhost),
    }))
}

/// Cuts text to 255 bytes, AMQP's limit of a short string; names are checked where the user passes
/// them.
pub(crate) fn short(text: &str) -> ShortString {
    let mut end = text.len().min(255);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}

fn smaller_nonzero(theirs: u32, ours: u32) -> u32 {
    match (theirs, ours) {
        (0, limit) | (limit, 0) => limit,
        (theirs, ours) => theirs.min(ours),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(credentials: Credentials) -> Settings {
        Settings {
            credentials,
            vhost: "/".into(),
            connection_name: "test".into(),
            frame_max: 131_072,
            channel_max: 2047,
            heartbeat: Duration::from_secs(10),
            body_max: 1 << 20,
        }
    }

    #[test]
    fn amqplain_is_a_table_without_its_length() {
        let password = Zeroizing::new("guest".to_owned());
        let login = Credentials::AmqPlain { user: "guest".into(), password };
        let response = login.response();
        assert_eq!(response.capacity(), response.len(), "it has not grown");
        assert_eq!(*response, b"\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x05guest");
    }

    #[test]
    fn update_secret_is_supported_by_rabbitmq_3_8_and_later() {
        let server = |product: &str, version: &str| {
            let mut table = FieldTable::default();
            for (key, value) in [("product", product), ("version", version)] {
                table.insert(key.into(), AMQPValue::LongString(value.into()));
            }
            table
        };
        let takes = |product, version| supports_update_secret(&server(product, version));
        assert!(takes("RabbitMQ", "3.8.0") && takes("RabbitMQ", "4.3.6"));
        assert!(takes("RabbitMQ", "3.10.8+dfsg"));
        assert!(!takes("RabbitMQ", "3.7.28") && !takes("RabbitMQ", "") && !takes("other", "9.0"));
        assert!(!supports_update_secret(&FieldTable::default()));
    }

    #[test]
    fn limits_are_the_smaller_value_of_both_sides_and_zero_means_no_limit() {
        let ours = settings(Credentials::External);
        let theirs = |channel_max, frame_max, heartbeat| connection::Tune {
            channel_max,
            frame_max,
            heartbeat,
        };
        let tuned = tune(&theirs(0, 8192, 60), &ours).unwrap();
        assert_eq!((tuned.channel_max, tuned.frame_max), (2047, 8192));
        assert_eq!(tuned.heartbeat, Duration::from_secs(10));
        assert_eq!(tune(&theirs(9, 0, 0), &ours).unwrap().frame_max, 131_072);
        assert_eq!(tune(&theirs(9, 4095, 0), &ours), Err(ProtoError::FrameMaxTooSmall(4095)));
        let silent = Settings { heartbeat: Duration::ZERO, ..ours };
        assert_eq!(tune(&theirs(9, 0, 60), &silent).unwrap().heartbeat, Duration::ZERO);
    }
}
