//! Prints any bytes as readable lines, for logs and failing tests.
//!
//! Invariants: it never panics, whatever the bytes; it never shows a secret: SASL responses and new
//! secrets are hidden, and bytes that cannot be decoded are counted and not shown, because they may
//! contain one.

use std::fmt::{self, Write};

use amq_protocol::protocol::{AMQPClass, connection};

use crate::wire::cold::parse_method;
use crate::wire::error::WireError;
use crate::wire::frame::{FrameKind, FrameView, PROTOCOL_HEADER, Parsed};
use crate::wire::hot::HotMethod;
use crate::wire::properties::ContentHeader;

/// Number of body bytes shown.
const BODY_SHOWN: usize = 64;

/// Prints one line for each frame of `bytes`, and one for incomplete or invalid bytes. Shows the
/// first 64 bytes of a body.
#[must_use]
pub fn print(bytes: &[u8]) -> String {
    let mut lines = String::new();
    // Writing to a String cannot fail.
    let _ = print_to(&mut lines, bytes);
    lines
}

fn print_to(lines: &mut String, mut bytes: &[u8]) -> fmt::Result {
    if let Some(rest) = bytes.strip_prefix(&PROTOCOL_HEADER) {
        writeln!(lines, "protocol header 0-9-1")?;
        bytes = rest;
    }
    while !bytes.is_empty() {
        match FrameView::parse(bytes, u32::MAX) {
            Ok(Parsed::Complete { frame, used }) => {
                print_frame(lines, &frame)?;
                bytes = &bytes[used..];
            }
            Ok(Parsed::Incomplete { needed }) => {
                return writeln!(lines, "{} bytes of a frame, {needed} missing", bytes.len());
            }
            Err(error) => return writeln!(lines, "{} bytes, no frame: {error}", bytes.len()),
        }
    }
    Ok(())
}

fn print_frame(lines: &mut String, frame: &FrameView<'_>) -> fmt::Result {
    write!(lines, "channel {} ", frame.channel)?;
    let printed = match frame.kind {
        FrameKind::Method => print_method(lines, frame.payload),
        FrameKind::Header => print_header(lines, frame.payload),
        FrameKind::Body => {
            print_body(lines, frame.payload)?;
            Ok(())
        }
        FrameKind::Heartbeat => {
            write!(lines, "heartbeat")?;
            Ok(())
        }
    };
    if let Err(error) = printed {
        let kind = frame.kind;
        write!(lines, "{kind:?} of {} bytes, undecodable: {error}", frame.payload.len())?;
    }
    writeln!(lines)
}

fn print_method(lines: &mut String, payload: &[u8]) -> Result<(), WireError> {
    let printed = if let Some(method) = HotMethod::parse(payload)? {
        write!(lines, "basic.{method:?}")
    } else {
        match parse_method(payload)? {
            AMQPClass::Connection(method) => print_connection(lines, &method),
            other => write!(lines, "{other:?}"),
        }
    };
    debug_assert!(printed.is_ok(), "writing to a String cannot fail");
    Ok(())
}

fn print_connection(lines: &mut String, method: &connection::AMQPMethod) -> fmt::Result {
    match method {
        connection::AMQPMethod::StartOk(ok) => write!(
            lines,
            "Connection(StartOk {{ mechanism: {:?}, locale: {:?}, response: (hidden), \
             client_properties: {:?} }})",
            ok.mechanism.as_str(),
            ok.locale.as_str(),
            ok.client_properties,
        ),
        connection::AMQPMethod::SecureOk(_) => {
            write!(lines, "Connection(SecureOk {{ response: (hidden) }})")
        }
        connection::AMQPMethod::UpdateSecret(update) => write!(
            lines,
            "Connection(UpdateSecret {{ new_secret: (hidden), reason: {:?} }})",
            update.reason.as_str(),
        ),
        other => write!(lines, "Connection({other:?})"),
    }
}

fn print_header(lines: &mut String, payload: &[u8]) -> Result<(), WireError> {
    let ContentHeader { body_size, properties } = ContentHeader::parse(payload)?;
    let headers = properties.headers.map(|headers| headers.to_table());
    let properties = super::PropertiesView { headers: None, ..properties };
    let printed = write!(lines, "header of {body_size} bytes, {properties:?}, {headers:?}");
    debug_assert!(printed.is_ok(), "writing to a String cannot fail");
    Ok(())
}

fn print_body(lines: &mut String, body: &[u8]) -> fmt::Result {
    let shown = &body[..body.len().min(BODY_SHOWN)];
    let more = if body.len() > shown.len() { "…" } else { "" };
    write!(lines, "body of {} bytes: {}{more}", body.len(), shown.escape_ascii())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{Publish, encode_method_frame, write_body_frames, write_frame};

    #[test]
    fn a_publication_is_three_lines() {
        let mut bytes = PROTOCOL_HEADER.to_vec();
        Publish { routing_key: "q", ..Publish::default() }.encode_frame(1, &mut bytes);
        ContentHeader { body_size: 2, ..ContentHeader::default() }.encode_frame(1, &mut bytes);
        write_body_frames(&mut bytes, 1, b"h\n", 4096);
        bytes.extend_from_slice(&[8, 0, 0]);
        let lines: Vec<String> = print(&bytes).lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 5, "{lines:#?}");
        assert_eq!(lines[0], "protocol header 0-9-1");
        assert!(lines[1].starts_with("channel 1 basic.Publish("), "{}", lines[1]);
        assert!(lines[2].starts_with("channel 1 header of 2 bytes"), "{}", lines[2]);
        assert_eq!(lines[3], "channel 1 body of 2 bytes: h\\n");
        assert_eq!(lines[4], "3 bytes of a frame, 4 missing");
    }

    #[test]
    fn secrets_are_hidden_in_whole_cut_and_broken_frames() {
        let secret = "hunter2hunter2";
        let methods = [
            connection::AMQPMethod::StartOk(connection::StartOk {
                mechanism: "PLAIN".into(),
                response: secret.into(),
                ..connection::StartOk::default()
            }),
            connection::AMQPMethod::SecureOk(connection::SecureOk { response: secret.into() }),
            connection::AMQPMethod::UpdateSecret(connection::UpdateSecret {
                new_secret: secret.into(),
                reason: "expired".into(),
            }),
        ];
        let numbers = format!("{:?}", secret.as_bytes());
        let numbers = numbers.trim_matches(['[', ']']);
        for method in methods {
            let mut frame = Vec::new();
            encode_method_frame(&mut frame, 0, &AMQPClass::Connection(method));
            let mut broken = Vec::new();
            write_frame(&mut broken, FrameKind::Method, 0, |out| {
                out.extend_from_slice(&frame[7..frame.len() - 2]);
            });
            let cut = &frame[..frame.len() - 1];
            let shifted = &frame[1..];
            for bytes in [&frame[..], &broken[..], cut, shifted] {
                let lines = print(bytes);
                assert!(!lines.contains("hunter2"), "{lines}");
                assert!(!lines.contains(numbers), "{lines}");
            }
            assert!(print(&frame).contains("(hidden)"));
        }
    }

    #[test]
    fn control_characters_of_a_login_do_not_break_the_line() {
        let start_ok = connection::StartOk {
            mechanism: "PLAIN\n\u{1b}[2J".into(),
            locale: "en\nUS".into(),
            ..connection::StartOk::default()
        };
        let mut frame = Vec::new();
        let method = connection::AMQPMethod::StartOk(start_ok);
        encode_method_frame(&mut frame, 0, &AMQPClass::Connection(method));
        let lines = print(&frame);
        assert_eq!(lines.lines().count(), 1, "{lines}");
        assert!(!lines.trim_end().contains(char::is_control), "{lines}");
    }

    proptest! {
        #[test]
        fn anything_prints(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(bytes.is_empty() == print(&bytes).is_empty());
        }

        #[test]
        fn any_payload_prints(
            kind in prop::sample::select(vec![1u8, 2, 3, 8]),
            class in prop::sample::select(vec![0u8, 10, 20, 30, 40, 50, 60, 85, 90]),
            method in prop::sample::select(vec![10u8, 11, 20, 21, 30, 40, 50, 60, 70, 80, 120]),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut frame = Vec::new();
            let kind = crate::wire::FrameKind::from_octet(kind).unwrap();
            write_frame(&mut frame, kind, 1, |out| {
                out.extend_from_slice(&[0, class, 0, method]);
                out.extend_from_slice(&rest);
            });
            prop_assert_eq!(print(&frame).lines().count(), 1);
        }
    }
}
