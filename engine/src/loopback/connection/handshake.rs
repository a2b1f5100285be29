//! Class `connection`: from the protocol header to the open state (AMQP 2.2.4), and closing.
//! Supports PLAIN and AMQPLAIN, as RabbitMQ does.

use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, connection};
use amq_protocol::types::{AMQPValue, FieldTable};

use crate::loopback::broker::refusal::{Refusal, short};
use crate::loopback::broker::state::Broker;
use crate::loopback::config::ConnectionId;
use crate::loopback::connection::state::{Capabilities, Phase};
use crate::wire::table::TableView;

/// Smallest frame size that a client may request: AMQP's minimum of 4096.
const FRAME_MIN: u32 = 4096;

fn connection_method(method: connection::AMQPMethod) -> AMQPClass {
    AMQPClass::Connection(method)
}

impl Broker {
    /// Answers the protocol header.
    pub(crate) fn send_start(&mut self, id: ConnectionId) {
        if let Some(greeting) = self.script.greeting.clone() {
            self.connection_mut(id).pending.extend_from_slice(&greeting);
            return self.mark_dirty(id);
        }
        let start = connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: server_properties(),
            mechanisms: "PLAIN AMQPLAIN".into(),
            locales: "en_US".into(),
        };
        self.send(id, 0, &connection_method(connection::AMQPMethod::Start(start)));
    }

    pub(crate) fn handle_connection_method(
        &mut self,
        id: ConnectionId,
        phase: Phase,
        method: AMQPClass,
    ) -> Result<(), Refusal> {
        use connection::AMQPMethod as Method;
        let AMQPClass::Connection(method) = method else {
            return Err(Refusal::new(504, "a channel method on channel 0"));
        };
        match (phase, method) {
            (Phase::Closing, Method::CloseOk(_)) => self.connection_mut(id).phase = Phase::Ended,
            (_, Method::Close(_)) => {
                self.release_connection(id);
                self.send(id, 0, &connection_method(Method::CloseOk(connection::CloseOk {})));
                self.connection_mut(id).phase = Phase::Ended;
            }
            (Phase::Closing, _) => (),
            (Phase::Start, Method::StartOk(ok)) => self.start_ok(id, &ok),
            (Phase::Tune, Method::TuneOk(ok)) => return self.tune_ok(id, &ok),
            (Phase::Open, Method::Open(open)) => return self.open(id, &open),
            (Phase::Running, Method::UpdateSecret(_)) => {
                let ok = Method::UpdateSecretOk(connection::UpdateSecretOk {});
                self.send(id, 0, &connection_method(ok));
            }
            _ => return Err(Refusal::new(503, "a connection method out of its turn")),
        }
        Ok(())
    }

    fn start_ok(&mut self, id: ConnectionId, ok: &connection::StartOk) {
        let capabilities = capabilities(&ok.client_properties);
        self.connection_mut(id).capabilities = capabilities;
        if !self.is_login_accepted(ok.mechanism.as_str(), ok.response.as_bytes()) {
            if capabilities.authentication_failure_close {
                let text = format!(
                    "Login was refused using authentication mechanism {}. \
                     For details see the broker logfile.",
                    ok.mechanism,
                );
                self.close_connection(id, (0, 0), &Refusal::new(403, text));
            } else {
                // Clients without this capability get no reason, only the end of the stream.
                self.connection_mut(id).phase = Phase::Ended;
            }
            return;
        }
        let tune = connection::Tune {
            channel_max: self.config.channel_max,
            frame_max: self.config.frame_max,
            heartbeat: self.config.heartbeat,
        };
        self.send(id, 0, &connection_method(connection::AMQPMethod::Tune(tune)));
        self.connection_mut(id).phase = Phase::Tune;
    }

    fn is_login_accepted(&self, mechanism: &str, response: &[u8]) -> bool {
        let credentials = match mechanism {
            "PLAIN" => parse_plain(response),
            "AMQPLAIN" => parse_amqplain(response),
            _ => return false,
        };
        let Some((user, password)) = credentials else { return false };
        !self.config.check_login
            || self
                .config
                .users
                .iter()
                .any(|(known, secret)| known.as_bytes() == user && secret.as_bytes() == password)
    }

    fn tune_ok(&mut self, id: ConnectionId, ok: &connection::TuneOk) -> Result<(), Refusal> {
        let offered = (self.config.frame_max, self.config.channel_max);
        let frame_max = if ok.frame_max == 0 { offered.0 } else { ok.frame_max };
        let channel_max = if ok.channel_max == 0 { offered.1 } else { ok.channel_max };
        if frame_max > offered.0 || frame_max < FRAME_MIN {
            let text = format!("negotiated frame_max = {frame_max} is out of bounds");
            return Err(Refusal::new(530, text));
        }
        if channel_max > offered.1 && offered.1 != 0 {
            let text = format!("negotiated channel_max = {channel_max} is out of bounds");
            return Err(Refusal::new(530, text));
        }
        let connection = self.connection_mut(id);
        connection.frame_max = frame_max;
        connection.channel_max = if channel_max == 0 { u16::MAX } else { channel_max };
        connection.phase = Phase::Open;
        if ok.heartbeat > 0 {
            let interval = Duration::from_secs(ok.heartbeat.into());
            connection.out.set_heartbeat(interval);
            // AMQP 4.2.7: two intervals of silence mean that the peer is gone; the reader sees the
            // time-out.
            let _ = connection.out.stream.set_read_timeout(Some(interval * 2));
        }
        Ok(())
    }

    fn open(&mut self, id: ConnectionId, open: &connection::Open) -> Result<(), Refusal> {
        if let Some((code, text)) = self.script.refused_open.clone() {
            return Err(Refusal { code, text });
        }
        let name = open.virtual_host.as_str();
        let Some(vhost) = self.vhosts.iter().position(|vhost| vhost.name == name) else {
            return Err(Refusal::new(530, format!("vhost {name} not found")));
        };
        let connection = self.connection_mut(id);
        connection.vhost = vhost;
        connection.phase = Phase::Running;
        let ok = connection::AMQPMethod::OpenOk(connection::OpenOk {});
        self.send(id, 0, &connection_method(ok));
        if let Some(reason) = self.blocked.clone() {
            self.send_blocked(id, &reason);
        }
        Ok(())
    }

    /// Notifies a client that publishers are blocked, if it supports that.
    pub(crate) fn send_blocked(&mut self, id: ConnectionId, reason: &str) {
        let connection = self.connection_mut(id);
        if connection.phase == Phase::Running && connection.capabilities.blocked {
            let blocked = connection::Blocked { reason: short(reason) };
            self.send(id, 0, &connection_method(connection::AMQPMethod::Blocked(blocked)));
        }
    }

    /// Notifies a client that publishers are no longer blocked, and resumes reading from it.
    pub(crate) fn send_unblocked(&mut self, id: ConnectionId) {
        let connection = self.connection_mut(id);
        connection.is_paused = false;
        if connection.phase == Phase::Running && connection.capabilities.blocked {
            let unblocked = connection::AMQPMethod::Unblocked(connection::Unblocked {});
            self.send(id, 0, &connection_method(unblocked));
        }
    }
}

/// Parses `authorization identity NUL user NUL password` (RFC 4616).
fn parse_plain(response: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = response.splitn(3, |&octet| octet == 0).skip(1);
    Some((parts.next()?, parts.next()?))
}

/// Parses a field table without its length.
fn parse_amqplain(response: &[u8]) -> Option<(&[u8], &[u8])> {
    let table = TableView::parse(response).ok()?;
    let text = |key| match table.get(key) {
        Some(crate::wire::ValueView::LongString(bytes)) => Some(bytes),
        _ => None,
    };
    Some((text("LOGIN")?, text("PASSWORD")?))
}

fn capabilities(properties: &FieldTable) -> Capabilities {
    let Some(AMQPValue::FieldTable(table)) = properties.inner().get("capabilities") else {
        return Capabilities::default();
    };
    let has = |key: &str| table.inner().get(key) == Some(&AMQPValue::Boolean(true));
    Capabilities {
        consumer_cancel_notify: has("consumer_cancel_notify"),
        blocked: has("connection.blocked"),
        authentication_failure_close: has("authentication_failure_close"),
    }
}

fn server_properties() -> FieldTable {
    let mut capabilities = FieldTable::default();
    for name in [
        "publisher_confirms",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "authentication_failure_close",
        "per_consumer_qos",
    ] {
        capabilities.insert(name.into(), AMQPValue::Boolean(true));
    }
    let mut properties = FieldTable::default();
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    for (key, value) in [
        ("product", "Leveret loopback"),
        ("version", env!("CARGO_PKG_VERSION")),
        ("platform", "Rust"),
        ("cluster_name", "loopback"),
    ] {
        properties.insert(key.into(), AMQPValue::LongString(value.into()));
    }
    properties
}
