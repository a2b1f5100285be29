//! The handshake, from the protocol header to an open connection (AMQP 2.2.4, 4.2.2).

use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, connection};
use amq_protocol::types::AMQPValue;
use zeroize::Zeroizing;

use crate::proto::error::ProtoError;
use crate::proto::handshake::{Credentials, Settings};
use crate::proto::tests::scenario::{
    EventSummary, Scenario, close, hex, on, open_ok, settings, start, tune,
};
use crate::wire::error::WireError;

/// Returns the `start-ok` that these settings lead to.
fn start_ok(credentials: Credentials, mechanisms: &str) -> Result<connection::StartOk, ProtoError> {
    let mut scenario = Scenario::greeting(Settings { credentials, ..settings() });
    scenario.try_receive(&start(mechanisms))?;
    match scenario.sent().remove(0).1 {
        AMQPClass::Connection(connection::AMQPMethod::StartOk(ok)) => Ok(ok),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_client_sends_the_protocol_header_first() {
    let mut scenario = Scenario::greeting(settings());
    assert_eq!(scenario.output(), b"AMQP\0\0\x09\x01");
}

#[test]
fn a_handshake_may_arrive_one_byte_at_a_time() {
    let mut scenario = Scenario::greeting(settings());
    scenario.receive_bytewise(&start("AMQPLAIN PLAIN"));
    assert_eq!(scenario.sent_ids(), [(0, 10, 11)], "start-ok");
    scenario.receive_bytewise(&hex("01 0000 0000000C 000A001E 07FF 00020000 003C CE")); // tune
    let tune_ok = hex("01 0000 0000000C 000A001F 07FF 00020000 000A CE");
    let open = hex("01 0000 00000008 000A0028 01 2F 00 00 CE");
    assert_eq!(scenario.output(), [tune_ok, open].concat());
    assert!(scenario.events().is_empty());
    scenario.receive_bytewise(&hex("01 0000 00000005 000A0029 00 CE")); // open-ok
    assert_eq!(scenario.events(), [EventSummary::Opened { frame_max: 131_072 }]);
    assert!(scenario.output().is_empty());
}

#[test]
fn a_handshake_may_arrive_at_once() {
    let mut scenario = Scenario::greeting(settings());
    scenario.receive(&[start("PLAIN"), tune(0, 0, 0), open_ok()].concat());
    assert_eq!(scenario.sent_ids(), [(0, 10, 11), (0, 10, 31), (0, 10, 40)]);
    assert_eq!(scenario.events(), [EventSummary::Opened { frame_max: 131_072 }]);
}

#[test]
fn credentials_are_encoded_by_their_mechanism() {
    let password = || Zeroizing::new("secret".to_owned());
    let plain = Credentials::Plain { user: "me".into(), password: password() };
    let ok = start_ok(plain, "EXTERNAL PLAIN").unwrap();
    assert_eq!((ok.mechanism.as_str(), ok.response.as_bytes()), ("PLAIN", &b"\0me\0secret"[..]));
    let table = Credentials::AmqPlain { user: "me".into(), password: password() };
    let ok = start_ok(table, "PLAIN AMQPLAIN").unwrap();
    let response = b"\x05LOGINS\0\0\0\x02me\x08PASSWORDS\0\0\0\x06secret";
    assert_eq!((ok.mechanism.as_str(), ok.response.as_bytes()), ("AMQPLAIN", &response[..]));
    let ok = start_ok(Credentials::External, "EXTERNAL").unwrap();
    assert_eq!((ok.mechanism.as_str(), ok.response.as_bytes()), ("EXTERNAL", &b""[..]));
    let refused = start_ok(Credentials::External, "EXTERNAL2 PLAIN").unwrap_err();
    let offered = "EXTERNAL2 PLAIN".into();
    assert_eq!(refused, ProtoError::Mechanism { wanted: "EXTERNAL", offered });
}

#[test]
fn capabilities_and_the_connection_name_are_sent() {
    let ok = start_ok(settings().credentials, "PLAIN").unwrap();
    let properties = ok.client_properties.inner();
    let name = AMQPValue::LongString("scenario".into());
    assert_eq!(properties.get("connection_name"), Some(&name));
    let Some(AMQPValue::FieldTable(capabilities)) = properties.get("capabilities") else {
        panic!("no capabilities");
    };
    for capability in [
        "publisher_confirms",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "authentication_failure_close",
        "exchange_exchange_bindings",
    ] {
        let told = capabilities.inner().get(capability);
        assert_eq!(told, Some(&AMQPValue::Boolean(true)), "{capability}");
    }
}

#[test]
fn limits_are_agreed_from_both_sides() {
    // channel_max, frame_max and heartbeat: theirs, ours, agreed. Zero means no limit, but our zero
    // for heartbeats disables them.
    let vectors = [
        ((2047, 131_072, 60), (2047, 131_072, 10), (2047, 131_072, 10)),
        ((0, 0, 0), (2047, 131_072, 10), (2047, 131_072, 10)),
        ((0, 0, 60), (0, 131_072, 0), (65_535, 131_072, 0)),
        ((10, 8192, 5), (2047, 131_072, 10), (10, 8192, 5)),
        ((10, 4096, 5), (0, 131_072, 600), (10, 4096, 5)),
        ((65_535, u32::MAX, u16::MAX), (7, 8192, 1), (7, 8192, 1)),
        ((1, 131_072, 60), (2047, 4096, 10), (1, 8192, 10)), // below 8192 RabbitMQ 4.1 closes
    ];
    for (theirs, ours, agreed) in vectors {
        let mut scenario = Scenario::greeting(Settings {
            channel_max: ours.0,
            frame_max: ours.1,
            heartbeat: Duration::from_secs(ours.2),
            ..settings()
        });
        scenario.receive(&start("PLAIN"));
        scenario.sent();
        scenario.receive(&tune(theirs.0, theirs.1, theirs.2));
        let sent = scenario.sent();
        let AMQPClass::Connection(connection::AMQPMethod::TuneOk(ok)) = &sent[0].1 else {
            panic!("{sent:?}");
        };
        assert_eq!((ok.channel_max, ok.frame_max, ok.heartbeat), agreed, "{theirs:?} {ours:?}");
    }
    for frame_max in [1, 4095] {
        let refused = Scenario::starting().refuses(&tune(0, frame_max, 0));
        assert_eq!(refused, ProtoError::FrameMaxTooSmall(frame_max));
    }
}

#[test]
fn a_heartbeat_below_a_second_is_rounded_up() {
    let heartbeat = Duration::from_millis(200);
    let mut scenario = Scenario::greeting(Settings { heartbeat, ..settings() });
    scenario.receive(&[start("PLAIN"), tune(0, 0, 60)].concat());
    let sent = scenario.output();
    let tune_ok = hex("000A001F 07FF 00020000 0001 CE");
    assert!(sent.windows(tune_ok.len()).any(|window| window == tune_ok));
}

#[test]
fn the_agreed_frame_size_is_enforced() {
    let mut scenario = Scenario::open();
    let large = [hex("08 0000 00000FF8"), vec![0; 4088], hex("CE")].concat();
    scenario.receive(&large);
    let larger = [hex("08 0000 00000FF9"), vec![0; 4089], hex("CE")].concat();
    let WireError::FrameTooLarge { size, max } = wire(scenario.refuses(&larger)) else { panic!() };
    assert_eq!((size, max), (4097, 4096));
    let header_alone = hex("01 0000 7FFFFFFF");
    let WireError::FrameTooLarge { .. } = wire(Scenario::open().refuses(&header_alone)) else {
        panic!("refused before anything of it is kept");
    };
}

fn wire(error: ProtoError) -> WireError {
    match error {
        ProtoError::Wire(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn other_protocols_are_recognised_by_their_first_bytes() {
    let refuses = |bytes: &[u8]| Scenario::greeting(settings()).refuses(bytes);
    let version = ProtoError::Version { major: 1, minor: 0, revision: 0 };
    assert_eq!(refuses(b"AMQP\x00\x01\x00\x00"), version);
    assert_eq!(refuses(&hex("15 0303 0002 0216")), ProtoError::TlsPort);
    assert_eq!(refuses(b"SSH-2.0\r\n"), ProtoError::NotAmqp("SSH-2.0\\r\\n".into()));
    let long = vec![b'x'; 1000];
    assert_eq!(refuses(&long), ProtoError::NotAmqp("x".repeat(32)), "not all of it");
    let old = on(
        0,
        connection::AMQPMethod::Start(connection::Start {
            version_major: 8,
            version_minor: 0,
            ..connection::Start::default()
        }),
    );
    assert_eq!(refuses(&old), ProtoError::Version { major: 8, minor: 0, revision: 0 });
}

#[test]
fn handshake_methods_in_the_wrong_state_are_refused_except_close() {
    type Step = fn() -> Scenario;
    let greeting: Step = || Scenario::greeting(settings());
    let steps: [(Step, usize); 4] =
        [(greeting, 0), (Scenario::starting, 1), (Scenario::opening, 2), (Scenario::open, 3)];
    let says = [start("PLAIN"), tune(0, 0, 0), open_ok()];
    for (step, turn) in steps {
        for (index, bytes) in says.iter().enumerate() {
            if index != turn {
                let error = step().refuses(bytes);
                assert!(matches!(error, ProtoError::Unexpected { channel: 0, .. }), "{error}");
            }
        }
        let mut scenario = step();
        scenario.sent();
        scenario.receive(&close(403, "ACCESS_REFUSED"));
        let closed = EventSummary::Closed { code: 403, text: "ACCESS_REFUSED".into() };
        assert_eq!(scenario.events(), [closed]);
        assert_eq!(scenario.output(), hex("01 0000 00000004 000A0033 CE"), "close-ok");
    }
}
