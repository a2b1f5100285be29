//! Invalid input leads to a typed error in time, other connections continue, and no password is
//! shown.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection};
use leveret_engine::loopback::{Loopback, LoopbackConfig};
use leveret_engine::wire::{ContentHeader, Deliver, FrameKind, PropertiesView, write_frame};
use leveret_engine::{
    ChannelOptions, Connection, ConnectionConfig, ConnectionState, Consume, Delivery, DeliverySink,
    Disposition, Engine, Error, ErrorKind, Host, Login, Outcome, Secret, block_on,
};
use leveret_support::Broker;

use crate::log;
use crate::peer::{Peer, frame, on_connection, open_ok, peer, start, tune};
use crate::setup::{
    WAIT, channel, config, config_of, connect, engine, loopback, once, publish, queue, until,
};

/// Expects a connect to fail in time; another connection of the same engine works before and after.
fn refused(config: ConnectionConfig) -> Error {
    let engine = engine();
    let peer = loopback();
    let other = engine.connect_blocking(config_of(&peer)).unwrap();
    let limit = config.connect_timeout + config.handshake_timeout + Duration::from_secs(1);
    let begun = Instant::now();
    let error = engine.connect_blocking(config).unwrap_err();
    assert!(begun.elapsed() < limit, "late: {error}");
    still_works(&other);
    error
}

fn still_works(connection: &Connection) {
    let channel = channel(connection);
    queue(&channel, "alive");
    assert!(matches!(publish(&channel, "alive", "x").wait(), Outcome::Confirmed));
}

fn impatient(mut config: ConnectionConfig) -> ConnectionConfig {
    config.handshake_timeout = Duration::from_millis(300);
    config
}

fn with_password(mut config: ConnectionConfig, password: &str) -> ConnectionConfig {
    let Host { host, port, user, .. } = config.hosts[0].clone();
    config.hosts = vec![Host::new(host, port).with_login(user, Secret::new(password))];
    config
}

// ---- who we are, and where

#[test]
fn a_wrong_password_is_refused_by_name_of_the_user() {
    for login in [Login::Plain, Login::AmqPlain] {
        let peer = loopback();
        for to in [config_of(&peer), config("badinput-password")] {
            let mut config = with_password(to, "wrong");
            config.login = login;
            let error = refused(config);
            assert_eq!((error.kind(), error.reply_code()), (ErrorKind::AccessRefused, Some(403)));
            assert!(!error.is_transient());
        }
    }
}

#[test]
fn an_unknown_vhost_is_refused() {
    let peer = loopback();
    let broker = ConnectionConfig::to("127.0.0.1", Broker::shared().port());
    for mut config in [config_of(&peer), broker] {
        config.vhost = "nowhere".into();
        let error = refused(config);
        assert_eq!((error.kind(), error.reply_code()), (ErrorKind::VhostRefused, Some(530)));
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
}

#[test]
fn a_login_nobody_offers_is_refused_before_anything_secret_is_said() {
    let peer = loopback();
    let mut config = config_of(&peer);
    config.login = Login::External;
    let error = refused(config);
    assert_eq!(error.kind(), ErrorKind::AccessRefused);
    assert!(error.to_string().contains("EXTERNAL"), "{error}");
}

#[test]
fn a_refused_port_and_an_unknown_name_are_unreachable() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    for host in ["127.0.0.1", "no-such-host.invalid"] {
        let error = refused(ConnectionConfig::to(host, port));
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.is_transient());
        assert!(error.to_string().contains(host), "{error}");
    }
}

#[test]
fn a_config_that_cannot_work_is_refused_before_anything_is_tried() {
    let mut none = ConnectionConfig::new(Vec::new());
    none.connect_timeout = Duration::ZERO;
    let mut small = ConnectionConfig::to("127.0.0.1", 1);
    small.frame_max = 4096;
    let mut long = ConnectionConfig::to("127.0.0.1", 1);
    long.vhost = "v".repeat(256);
    for config in [none, small, long] {
        assert_eq!(refused(config).kind(), ErrorKind::Config);
    }
}

// ---- peers that are something else

fn says(bytes: &'static [u8]) -> ConnectionConfig {
    peer(move |peer| {
        peer.hear_header();
        peer.send(bytes);
        peer.stay();
    })
}

#[test]
fn a_tls_port_is_known_by_its_alert() {
    let error = refused(says(b"\x15\x03\x03\x00\x02\x02\x16"));
    assert_eq!(error.kind(), ErrorKind::NotAmqp);
    assert!(error.to_string().contains("TLS"), "{error}");
}

#[test]
fn other_servers_are_named_by_what_they_say() {
    let http = says(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    let ssh = peer(|peer| {
        peer.send(b"SSH-2.0-OpenSSH_9.6\r\n");
        peer.stay();
    });
    for (config, word) in [(http, "HTTP/1.1 400"), (ssh, "SSH-2.0-OpenSSH")] {
        let error = refused(config);
        assert_eq!(error.kind(), ErrorKind::NotAmqp);
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn another_version_of_amqp_is_named() {
    let error = refused(says(b"AMQP\x00\x01\x00\x00"));
    assert_eq!(error.kind(), ErrorKind::NotAmqp);
    assert!(error.to_string().contains("1-0-0"), "{error}");
}

#[test]
fn silence_ends_with_the_handshake_deadline() {
    let silent = peer(Peer::stay);
    let half = peer(|peer| {
        peer.hear_header();
        peer.send(&start());
        peer.stay();
    });
    for config in [silent, half] {
        let error = refused(impatient(config));
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.to_string().contains("handshake"), "{error}");
    }
}

// ---- handshakes that break

#[test]
fn a_handshake_may_end_at_every_step() {
    fn steps(peer: &mut Peer, last: usize) {
        let says = [Vec::new(), start(), tune(), open_ok()];
        for (step, bytes) in says.iter().enumerate() {
            if step == last / 2 {
                // On odd steps, stop in the middle of a frame.
                peer.send(&bytes[..if last % 2 == 1 { bytes.len() / 2 } else { 0 }]);
                return;
            }
            peer.send(bytes);
            match step {
                0 => peer.hear_header(),
                2 => assert!(peer.hear().is_some() && peer.hear().is_some()),
                _ => assert!(peer.hear().is_some()),
            }
        }
    }
    for last in [0, 2, 3, 4, 5, 6, 7] {
        let error = refused(peer(move |peer| steps(peer, last)));
        assert_eq!(error.kind(), ErrorKind::ConnectionClosed, "after {last} half steps: {error}");
    }
}

#[test]
fn a_broker_that_refuses_in_the_handshake_keeps_its_words_and_gets_an_answer() {
    let (told, heard) = std::sync::mpsc::channel();
    let config = peer(move |peer| {
        peer.hear_header();
        peer.send(&start());
        peer.hear();
        peer.send(&on_connection(connection::AMQPMethod::Close(connection::Close {
            reply_code: 541,
            reply_text: "INTERNAL_ERROR - not today".into(),
            class_id: 0,
            method_id: 0,
        })));
        told.send(peer.hear()).unwrap();
    });
    let error = refused(config);
    assert_eq!((error.kind(), error.reply_code()), (ErrorKind::ConnectionClosed, Some(541)));
    assert!(error.to_string().contains("not today"), "{error}");
    let (channel, answer) = heard.recv_timeout(WAIT).unwrap().expect("close-ok");
    assert_eq!(channel, 0);
    let close_ok = connection::AMQPMethod::CloseOk(connection::CloseOk {});
    assert_eq!(answer, AMQPClass::Connection(close_ok));
}

fn greeting(bytes: Vec<u8>) -> Error {
    let config = LoopbackConfig::default();
    let peer = Loopback::start(config).unwrap();
    peer.script(|script| script.greeting = Some(bytes));
    refused(config_of(&peer))
}

/// Creates `connection.start` with these bytes as server properties.
fn start_with(table: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, FrameKind::Method, 0, |out| {
        out.extend_from_slice(&[0, 10, 0, 10, 0, 9]);
        out.extend_from_slice(table);
        out.extend_from_slice(b"\x00\x00\x00\x05PLAIN\x00\x00\x00\x05en_US");
    });
    out
}

#[test]
fn a_table_nested_too_deep_is_refused() {
    fn nested(depth: usize) -> Vec<u8> {
        let inner = if depth == 0 { Vec::new() } else { nested(depth - 1) };
        let field = if depth == 0 { Vec::new() } else { [b"\x01aF".as_slice(), &inner].concat() };
        [(field.len() as u32).to_be_bytes().as_slice(), &field].concat()
    }
    let error = greeting(start_with(&nested(5000)));
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("deep"), "{error}");
}

#[test]
fn lengths_beyond_the_frame_are_refused() {
    for table in [
        b"\xFF\xFF\xFF\xFF".as_slice(),              // -1, read as signed
        b"\x80\x00\x00\x00",                         // the most negative one
        b"\x00\x00\x00\x09\x01aS\xFF\xFF\xFF\xFE..", // a string in it
        b"\x00\x00\x00\x05\xFF....",                 // a key in it
    ] {
        assert_eq!(greeting(start_with(table)).kind(), ErrorKind::Protocol, "{table:?}");
    }
    let huge_frame = b"\x01\x00\x00\xFF\xFF\xFF\xFF\x00\x0A\x00\x0A".to_vec();
    assert_eq!(greeting(huge_frame).kind(), ErrorKind::Protocol);
}

#[test]
fn frames_out_of_turn_are_refused_in_the_handshake() {
    for bytes in [tune(), open_ok()] {
        assert_eq!(greeting(bytes).kind(), ErrorKind::Protocol);
    }
    // No AMQP broker begins like this, so the peer is not one.
    let on_channel_one = frame(1, AMQPClass::Channel(channel_ok()));
    for bytes in [on_channel_one, leveret_engine::wire::HEARTBEAT_FRAME.to_vec()] {
        assert_eq!(greeting(bytes).kind(), ErrorKind::NotAmqp);
    }
}

fn channel_ok() -> channel::AMQPMethod {
    channel::AMQPMethod::OpenOk(channel::OpenOk {})
}

// ---- open connections that break

/// Creates a connection with an unconfirmed publication and a consumer on `q`, and then calls
/// `break_it`.
fn broken(
    change: impl FnOnce(&mut ConnectionConfig),
    break_it: impl FnOnce(&Loopback),
) -> (Error, Engine) {
    let (peer, healthy) = (loopback(), loopback());
    let engine = engine();
    let other = engine.connect_blocking(config_of(&healthy)).unwrap();
    let mut config = once(config_of(&peer));
    change(&mut config);
    let connection = engine.connect_blocking(config).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    let mut consume = Consume::from_queue("q");
    consume.consumer_tag = "tag".into();
    let mut consumer = block_on(channel.consume(consume)).unwrap();
    peer.script(|script| script.withhold_confirms = true);
    let confirm = publish(&channel, "q", "unconfirmed");
    assert_eq!(consumer.next_within(WAIT).unwrap().unwrap().body().len(), 11);
    break_it(&peer);
    let Outcome::MaybeSent(error) = confirm.wait() else { panic!("it was not confirmed") };
    until("the connection is closed", || connection.state() == ConnectionState::Closed);
    let ended = consumer.next_within(WAIT).unwrap_err();
    assert_eq!(ended.kind(), error.kind());
    assert!(consumer.next_within(WAIT).unwrap().is_none(), "the reason is told once");
    still_works(&other);
    (error, engine)
}

fn broken_by(bytes: Vec<u8>) -> Error {
    broken(|_| {}, |peer| peer.send_raw(&bytes)).0
}

#[test]
fn frames_that_are_none_end_the_connection() {
    type Break = fn(&Loopback);
    let cases: [(&str, Break); 4] = [
        ("frame type", Loopback::send_garbage),
        ("end", Loopback::send_bad_frame_end),
        ("bytes", Loopback::send_oversized_frame),
        ("method", Loopback::send_unknown_method),
    ];
    for (word, break_it) in cases {
        let (error, _) = broken(|_| {}, break_it);
        assert_eq!(error.kind(), ErrorKind::Protocol, "{word}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn a_channel_that_is_not_open_is_an_error() {
    let error = broken_by(frame(77, AMQPClass::Channel(channel_ok())));
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("channel 77"), "{error}");
}

/// Creates `basic.deliver` and a header that announces `size` bytes.
fn delivery_of(size: u64) -> Vec<u8> {
    delivery(2, size)
}

fn delivery(delivery_tag: u64, size: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let deliver = Deliver {
        consumer_tag: "tag",
        delivery_tag,
        redelivered: false,
        exchange: "",
        routing_key: "q",
    };
    deliver.encode_frame(1, &mut out);
    let properties = PropertiesView::default();
    ContentHeader { body_size: size, properties }.encode_frame(1, &mut out);
    out
}

fn body_of(size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, FrameKind::Body, 1, |out| out.resize(out.len() + size, 0));
    out
}

#[test]
fn contents_that_do_not_fit_together_end_the_connection() {
    let overrun = [delivery_of(3), body_of(4)].concat();
    let orphan_body = body_of(4);
    let two_headers = [delivery_of(3), delivery_of(3).split_off(40)].concat();
    let method_inside = [delivery_of(3), delivery_of(3)].concat();
    for bytes in [overrun, orphan_body, two_headers, method_inside] {
        assert_eq!(broken_by(bytes).kind(), ErrorKind::Protocol);
    }
}

#[test]
fn a_body_that_no_broker_takes_is_refused_by_its_header() {
    for size in [u64::MAX, 1 << 63, (1 << 32) + 1] {
        let error = broken_by(delivery_of(size));
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains(&size.to_string()), "{error}");
    }
}

/// Sends the size and the body of every message to the test.
struct Oversized(std::sync::mpsc::Sender<(u64, Vec<u8>)>);

impl DeliverySink for Oversized {
    fn deliver(&mut self, delivery: Delivery) -> Disposition {
        let body = delivery.body().contiguous().to_vec();
        let _ = self.0.send((body.len() as u64, body));
        Disposition::Ack
    }

    fn oversized(&mut self, delivery: Delivery, size: u64) {
        let _ = self.0.send((size, delivery.body().contiguous().to_vec()));
    }

    fn ended(&mut self, _: Option<Error>) {}
}

#[test]
fn a_message_above_the_limit_costs_itself_only() {
    let peer = loopback();
    let engine = engine();
    let mut limited = config_of(&peer);
    limited.body_max = 100_000;
    let connection = engine.connect_blocking(limited).unwrap();
    let consuming = channel(&connection);
    queue(&consuming, "q");
    let (sender, heard) = std::sync::mpsc::channel();
    let sink = Box::new(Oversized(sender));
    let handle = block_on(consuming.consume_with(Consume::from_queue("q"), sink)).unwrap();
    let publishing = channel(&engine.connect_blocking(config_of(&peer)).unwrap());
    let large = "x".repeat(150_000) + "the end";
    assert!(publish(&publishing, "q", &large).wait().is_ok());
    assert!(publish(&publishing, "q", "small").wait().is_ok());
    let (size, tail) = heard.recv_timeout(WAIT).unwrap();
    assert_eq!(size, large.len() as u64);
    assert!(tail.len() <= 16 << 10 && tail.ends_with(b"xthe end"));
    assert_eq!(heard.recv_timeout(WAIT).unwrap(), (5, b"small".to_vec()));
    until("it was rejected", || block_on(publishing.purge_queue("q")).unwrap() == 0);
    assert_eq!(engine.stats()[0].oversized, 1);
    // A returned publication of our own is identified by its checksum although its body is not
    // kept.
    let returned = publish(&consuming, "nowhere", &large).wait();
    let Outcome::Returned(returned) = returned else { panic!("{returned:?}") };
    assert_eq!((returned.routing_key(), returned.body().len()), ("nowhere", 0));
    assert_eq!(connection.reconnects(), 0);
    drop(handle);
}

#[test]
fn a_confirm_of_what_was_never_published_is_an_error() {
    let ack = leveret_engine::wire::Ack { delivery_tag: 99, multiple: false };
    let mut bytes = Vec::new();
    ack.encode_frame(1, &mut bytes);
    let error = broken_by(bytes);
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("99"), "{error}");
}

#[test]
fn delivery_tags_out_of_their_order_end_the_connection() {
    // The last delivery tag was 1.
    for tag in [3, 1, 0, 1 << 40, u64::MAX] {
        let error = broken_by(delivery(tag, 0));
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains(&format!("delivery tag {tag} ")), "{error}");
    }
}

#[test]
fn a_close_by_the_broker_keeps_code_and_text() {
    let (error, _) = broken(|_| {}, |peer| peer.close_connections(320, "CONNECTION_FORCED - ops"));
    assert_eq!((error.kind(), error.reply_code()), (ErrorKind::ConnectionClosed, Some(320)));
    assert!(error.to_string().contains("CONNECTION_FORCED - ops"), "{error}");
}

// ---- peers that say too much

#[test]
fn a_peer_that_asks_and_does_not_read_is_left() {
    let cancel = basic::Cancel { consumer_tag: "none".repeat(60).into(), nowait: false };
    let cancel = frame(1, AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)));
    let mut config = once(peer(move |peer| {
        peer.welcome();
        peer.hear();
        peer.send(&frame(1, AMQPClass::Channel(channel_ok())));
        peer.hear();
        let selected = confirm::AMQPMethod::SelectOk(confirm::SelectOk {});
        peer.send(&frame(1, AMQPClass::Confirm(selected)));
        let flood = cancel.repeat(1000);
        while peer.try_send(&flood) {}
    }));
    // Otherwise the kernel could close the connection first, because the peer does not read.
    config.user_timeout = WAIT;
    let connection = engine().connect_blocking(config).unwrap();
    // Kept open while the peer floods. The connection may be lost before this call returns, because
    // the flood follows the last response at once.
    let _channel = block_on(connection.open_channel(ChannelOptions::default()));
    until("the connection is closed", || connection.state() == ConnectionState::Closed);
    let error = connection.standing().last_error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    assert!(error.to_string().contains("does not read"), "{error}");
}

#[test]
fn a_flood_of_states_is_logged_in_part() {
    log::keep();
    let blocked = connection::Blocked { reason: "flooded-3f7a".into() };
    let unblocked = connection::AMQPMethod::Unblocked(connection::Unblocked {});
    let blocked = on_connection(connection::AMQPMethod::Blocked(blocked));
    let flood = [blocked, on_connection(unblocked)].concat().repeat(20_000);
    let config = once(peer(move |peer| {
        peer.welcome();
        peer.send(&flood);
        peer.send(&on_connection(connection::AMQPMethod::Close(connection::Close {
            reply_code: 320,
            reply_text: "over".into(),
            class_id: 0,
            method_id: 0,
        })));
        peer.stay();
    }));
    let begun = Instant::now();
    // The engine may read everything before this call returns.
    match engine().connect_blocking(config) {
        Ok(connection) => {
            until("it is closed", || connection.state() == ConnectionState::Closed);
        }
        Err(error) => assert_eq!(error.reply_code(), Some(320), "{error}"),
    }
    let lines = log::lines_with("flooded-3f7a");
    let most = 12 + begun.elapsed().as_secs() as usize;
    assert!((1..=most).contains(&lines.len()), "{} of 20,000", lines.len());
}

// ---- secrets

#[test]
fn passwords_are_nowhere_to_be_read() {
    log::keep();
    const CANARY: &str = "canary-7d1f";
    let peer = loopback();
    let known = Loopback::start(LoopbackConfig {
        users: vec![("guest".into(), CANARY.into())],
        ..LoopbackConfig::default()
    });
    let known = known.unwrap();
    let mut words = Vec::new();
    for to in [config_of(&peer), config("badinput-canary"), says(b"HTTP/1.1 400\r\n")] {
        let config = with_password(to, CANARY);
        words.push(format!("{config:?}"));
        let error = refused(config);
        words.push(format!("{error} {error:?}"));
    }
    let engine = engine();
    let config = with_password(config_of(&known), CANARY);
    words.push(format!("{:?} {:?}", config.hosts[0], config.hosts[0].password));
    let connection = engine.connect_blocking(config).unwrap();
    let channel = channel(&connection);
    words.push(format!("{engine:?} {connection:?} {channel:?} {known:?}"));
    known.close_connections(541, "INTERNAL_ERROR");
    until("it comes back", || known.stats().connections == 1 && connection.reconnects() == 1);
    for text in words {
        assert!(!text.contains(CANARY), "{text}");
    }
    assert!(!log::lines_with("recovering").is_empty(), "the log is kept");
    assert_eq!(log::lines_with(CANARY), [""; 0]);
    drop(connect("badinput-after"));
}
