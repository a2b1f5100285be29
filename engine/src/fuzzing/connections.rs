//! A hostile broker, during the handshake and after it.

use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, basic, channel, queue};
use zeroize::Zeroizing;

use crate::fuzzing::choices::Choices;
use crate::fuzzing::peer::{FRAME_MAX, PASSWORD, Peer, plain};
use crate::proto::Credentials;
use crate::wire::{FrameKind, FrameView, PROTOCOL_HEADER, Parsed, print, write_frame};

/// A hostile broker during the handshake.
pub fn handshake(data: &[u8]) {
    if data.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes()) {
        // What the broker itself says may be shown.
        return;
    }
    let mut choices = Choices(data);
    let credentials = match choices.byte() % 3 {
        0 => plain(),
        1 => Credentials::AmqPlain {
            user: "guest".into(),
            password: Zeroizing::new(PASSWORD.into()),
        },
        _ => Credentials::External,
    };
    let cuts = choices.take(2);
    let mut peer = Peer::new(credentials);
    peer.receive_cut(choices.0, cuts);
    assert!(!format!("{:?} {:?}", peer.error, peer.seen).contains(PASSWORD));
    assert!(peer.opened <= 1);
    let output = peer.output();
    assert!(output.len() < 2048, "{} bytes", output.len());
    assert!(output.starts_with(&PROTOCOL_HEADER));
    let mut sent = Vec::new();
    let mut rest = &output[PROTOCOL_HEADER.len()..];
    while let Ok(Parsed::Complete { frame, used }) = FrameView::parse(rest, FRAME_MAX) {
        assert_eq!((frame.kind, frame.channel), (FrameKind::Method, 0));
        sent.push(frame.payload[3]);
        rest = &rest[used..];
    }
    // start-ok, tune-ok, open; then perhaps close-ok.
    let steps = [11, 31, 40];
    let closes = usize::from(sent.last() == Some(&51));
    assert_eq!(sent[..sent.len() - closes], steps[..sent.len() - closes]);
    assert!(peer.opened == 0 || sent.len() - closes == 3);
    assert!(!print(&output).contains(PASSWORD), "logs show no password");
    let shown = output.windows(PASSWORD.len()).filter(|part| *part == PASSWORD.as_bytes()).count();
    assert!(shown <= 1 && (shown == 0 || sent.first() == Some(&11)), "only the login shows it");
}

/// An open connection, its user and a hostile peer: any frames and bytes, between requests.
pub fn proto(data: &[u8]) {
    let mut choices = Choices(data);
    let mut peer = Peer::open();
    let (mut received, mut requests, mut sent) = (0, 0, 0);
    while !choices.0.is_empty() && !peer.is_over() {
        let step = choices.byte();
        let channel = u16::from(choices.byte() % 10);
        match step % 8 {
            0..3 => {
                let kind = [FrameKind::Method, FrameKind::Header, FrameKind::Body];
                let size = usize::from(choices.byte());
                let payload = choices.take(size);
                let mut frame = Vec::new();
                write_frame(&mut frame, kind[usize::from(step % 8)], channel, |out| {
                    out.extend_from_slice(payload);
                });
                // Some are repeated: a flood.
                let frames = frame.repeat(if step > 250 { 50 } else { 1 });
                received += frames.len();
                peer.receive(&frames);
            }
            3 => {
                let size = usize::from(choices.byte());
                let bytes = choices.take(size);
                received += bytes.len();
                peer.receive_cut(bytes, &[step / 8]);
            }
            4 => {
                requests += 1;
                let _ = peer.connection.open_channel(channel, requests);
            }
            5 => {
                requests += 1;
                let _ = peer.connection.request(channel, requests, request(step));
            }
            6 => {
                peer.now += Duration::from_secs((step / 8).into());
                requests += 1;
                match peer.connection.handle_timeout(peer.now) {
                    Ok(()) => peer.connection.sent(peer.now),
                    Err(error) => peer.fail(error),
                }
            }
            _ if step > 250 => {
                requests += 1;
                peer.connection.close(200, "bye");
            }
            _ => sent += peer.output().len(),
        }
    }
    sent += peer.output().len();
    assert!(sent as u64 <= received as u64 + 64 * requests, "{sent} bytes for {received}");
    assert!(peer.answered.iter().all(|token| (1..=requests).contains(token)));
    assert!((1..10).all(|number| !peer.connection.has_channel(number) || number <= 8));
}

fn request(step: u8) -> AMQPClass {
    match step / 8 % 4 {
        0 => AMQPClass::Queue(queue::AMQPMethod::Declare(queue::Declare::default())),
        1 => AMQPClass::Basic(basic::AMQPMethod::Consume(basic::Consume::default())),
        2 => AMQPClass::Basic(basic::AMQPMethod::Get(basic::Get::default())),
        _ => AMQPClass::Channel(channel::AMQPMethod::Close(channel::Close::default())),
    }
}
