//! The baseline at equal work against Leveret itself, on the embedded broker: both send the same
//! messages, and each reads the other's.

use std::time::Duration;

use leveret::{Context, DriverConfig, Notifier, RpcClient, Target, Transport};
use serde_json::Value;

use super::super::client::{self, QueueOptions};
use super::super::frames::{self, Scanned};
use super::super::incoming::Incoming;
use super::*;
use crate::broker::address::BrokerAddress;
use crate::broker::in_process;
use crate::workload::suite::Suite;

const TOPIC: &str = "topic";
const PAYLOAD: &str = "abcdefghijklmnopqrstuvwxyz";

#[derive(serde::Serialize)]
struct Arguments<'a> {
    message: &'a str,
}

/// A broker with a queue bound to the topic's exchange.
fn broker() -> (BrokerAddress, Box<dyn std::any::Any>, Client) {
    let (address, peer) = in_process::broker().expect("the broker starts");
    let mut owner = Client::connect(&address).expect("the broker answers");
    let exchange = oslo_exchange(TOPIC);
    owner.declare_exchange(&Exchange::kombu(exchange.clone())).expect("a new exchange");
    owner.declare_queue(TOPIC, QueueOptions::default()).expect("a new queue");
    owner.bind_queue(TOPIC, &exchange, TOPIC).expect("both are there");
    owner.consume(TOPIC, true).expect("it is there");
    (address, peer, owner)
}

fn leveret(address: &BrokerAddress) -> (Transport, RpcClient) {
    let transport = Transport::builder(&address.url()).connect_blocking().expect("it answers");
    let target = Target::new(TOPIC).with_exchange(oslo_exchange(TOPIC));
    let client = RpcClient::new(&transport, target).with_timeout(client::BROKER_TIMEOUT);
    (transport, client)
}

fn style() -> MessageStyle {
    MessageStyle::kombu(oslo_exchange(TOPIC))
}

/// Content header and body of the next message.
fn next(client: &mut Client) -> (Vec<u8>, Vec<u8>) {
    let mut header = Vec::new();
    loop {
        while let Some(frame) = client.next_frame().expect("frames") {
            match frame.kind {
                frames::HEADER => header = frame.payload.to_vec(),
                frames::BODY => return (header, frame.payload.to_vec()),
                _ => {}
            }
        }
        client.fill().expect("a message comes");
    }
}

/// Content header and body of rendered frames.
fn rendered(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Scanned::Frame(frame) = frames::scan(rest) {
        parts.push(frame.payload.to_vec());
        rest = &rest[frame.wire_bytes()..];
    }
    let [_, header, body] = parts.try_into().expect("three frames");
    (header, body)
}

/// The text with every id (32 hexadecimal digits) replaced by the same text.
fn without_ids(body: &[u8]) -> String {
    let text = String::from_utf8(body.to_vec()).expect("JSON is text");
    let mut out = String::new();
    let mut digits = String::new();
    for letter in text.chars().chain(['\0']) {
        if letter.is_ascii_hexdigit() {
            digits.push(letter);
            continue;
        }
        out.push_str(if digits.len() == 32 { "<id>" } else { &digits });
        digits.clear();
        out.push(letter);
    }
    out
}

#[test]
fn a_cast_is_leveret_s_own_but_for_its_id() {
    let (address, _peer, mut owner) = broker();
    let (transport, client) = leveret(&address);
    client.cast_blocking(Context::new(), "info", &Arguments { message: PAYLOAD }).expect("sent");
    let (header, body) = next(&mut owner);
    transport.close_blocking().expect("the broker agrees");

    let mut out = Vec::new();
    style().cast(&mut out, TOPIC, PAYLOAD.as_bytes(), 4096);
    let (our_header, our_body) = rendered(&out);
    assert_eq!(our_header, header);
    assert_eq!(without_ids(&our_body), without_ids(&body));
}

#[test]
fn a_notification_is_leveret_s_own_but_for_ids_and_time() {
    let (address, _peer) = in_process::broker().expect("the broker starts");
    let mut owner = Client::connect(&address).expect("the broker answers");
    let options = QueueOptions { max_length: None, is_shared: true };
    let key = format!("{TOPIC}.info");
    owner.declare_queue(&key, options).expect("a new queue");
    owner.consume(&key, true).expect("it is there");
    let config = DriverConfig::default().with_control_exchange(oslo_exchange(TOPIC));
    let transport = Transport::builder(&address.url()).config(config).connect_blocking();
    let transport = transport.expect("it answers");
    let notifier = Notifier::builder(&transport).topic(TOPIC).publisher_id("perf").build();
    notifier.info_blocking((), "info", &Arguments { message: PAYLOAD }).expect("sent");
    let (header, body) = next(&mut owner);
    transport.close_blocking().expect("the broker agrees");

    let mut out = Vec::new();
    style().notifying(true).cast(&mut out, &key, PAYLOAD.as_bytes(), 4096);
    let (our_header, our_body) = rendered(&out);
    let after_size = 12;
    assert_eq!(our_header[after_size..], header[after_size..]);
    let parts = |body: &[u8]| {
        let envelope: Value = serde_json::from_slice(body).expect("JSON");
        let text = envelope["oslo.message"].as_str().expect("a text").to_owned();
        let mut message: Value = serde_json::from_str(&text).expect("JSON in JSON");
        for key in ["message_id", "timestamp", "_unique_id"] {
            let text = message[key].as_str().expect("a text").len();
            // Python and Leveret omit microseconds that are zero.
            message[key] = text.max(if key == "timestamp" { 26 } else { 0 }).into();
        }
        message.to_string()
    };
    assert_eq!(parts(&our_body), parts(&body));
}

#[test]
fn a_call_is_leveret_s_own_and_its_answer_is_understood() {
    let (address, _peer, mut owner) = broker();
    let (transport, client) = leveret(&address);
    let caller = std::thread::spawn(move || {
        let arguments = Arguments { message: PAYLOAD };
        let answer: String = client.call_blocking(Context::new(), "info", &arguments)?;
        transport.close_blocking().map(|()| answer)
    });
    let (header, body) = next(&mut owner);

    let style = style();
    let reply_queue = style.reply_queue(TOPIC);
    let request = style.request(TOPIC, &reply_queue, 5, PAYLOAD.as_bytes(), 4096);
    let (our_header, our_body) = rendered(&request);
    assert_eq!(our_header, header);
    assert_eq!(without_ids(&our_body), without_ids(&body));

    let (mut out, mut request) = (Vec::new(), Incoming::default());
    request.body.extend_from_slice(&body);
    style.answer(&mut out, &request, &mut Vec::new(), 4096).expect("a whole request");
    owner.write(&out).expect("the broker listens");
    assert_eq!(caller.join().expect("no panic").expect("an answer"), PAYLOAD);
}

/// Runs the baseline's client and server in this style.
fn calls_go_through(style: &MessageStyle) {
    let (address, _peer) = in_process::broker().expect("the broker starts");
    let (say, ready) = std::sync::mpsc::channel();
    let (server, serving) = (Client::connect(&address).expect("it answers"), style.clone());
    // It ends with the broker.
    std::thread::spawn(move || {
        rpc::serve(server, &serving, TOPIC, move || say.send(()).expect("the test waits"))
    });
    ready.recv().expect("the server is ready");
    let mut workers = Workers::new();
    let (client, calling) = (Client::connect(&address).expect("it answers"), style.clone());
    workers
        .spawn("raw-test", move |probe| {
            rpc::call(client, &calling, TOPIC, PAYLOAD.as_bytes(), 5, probe)
        })
        .expect("threads start");
    while workers.counts().0 < 100 {
        workers.watch(Duration::from_millis(1)).expect("calls are answered");
    }
    workers.finish(client::BROKER_TIMEOUT).expect("it stops");
}

#[test]
fn both_baselines_answer_their_own_calls() {
    calls_go_through(&MessageStyle::bare());
    calls_go_through(&style());
}

#[test]
fn the_baseline_at_equal_work_measures_what_the_driver_does() {
    let quick = Suite::Quick.workloads();
    let measured = quick.iter().filter(|workload| RawKombu.measures(workload));
    assert_eq!(
        measured.map(|workload| workload.name).collect::<Vec<_>>(),
        [
            "cast-sink",
            "cast-buffered",
            "cast-confirmed",
            "cast-confirmed-10000",
            "call-1",
            "call-5",
            "call-85",
            "call-10000",
            "notify"
        ]
    );
}
