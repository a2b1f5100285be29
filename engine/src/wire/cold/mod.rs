//! Every method that is not part of each message, through amq-protocol.
//!
//! Invariant: amq-protocol, which reads tables recursively and without a limit, receives only
//! payloads whose tables [`TableView`] has checked. These two functions also read and write the hot
//! methods.

use amq_protocol::frame::WriteContext;
use amq_protocol::protocol::{AMQPClass, gen_class, parse_class};

use crate::wire::cursor::Reader;
use crate::wire::error::WireError;
use crate::wire::frame::{FrameKind, write_frame};
use crate::wire::table::TableView;

/// Reads the payload of a method frame.
///
/// # Errors
/// [`WireError::BadMethod`] if AMQP has no such method, [`WireError::TableTooDeep`] and the other
/// table errors, [`WireError::TrailingBytes`], [`WireError::Truncated`], and
/// [`WireError::BadArguments`] for everything else that amq-protocol refuses.
pub fn parse_method(payload: &[u8]) -> Result<AMQPClass, WireError> {
    let mut reader = Reader::new(payload);
    let (class, method) = (reader.u16()?, reader.u16()?);
    if !exists(class, method) {
        return Err(WireError::BadMethod { class, method });
    }
    check_table(class, method, reader)?;
    match parse_class(payload) {
        Ok(([], parsed)) => Ok(parsed),
        Ok((rest, _)) => Err(WireError::TrailingBytes { count: rest.len() }),
        Err(_) => Err(WireError::BadArguments { class, method }),
    }
}

/// Appends a whole method frame on `channel`.
///
/// # Panics
/// Never for methods built from amq-protocol's own types, whose short strings are bounded.
pub fn encode_method_frame(out: &mut Vec<u8>, channel: u16, method: &AMQPClass) {
    write_frame(out, FrameKind::Method, channel, |out| {
        let context = WriteContext::from(std::mem::take(out));
        let (written, _) =
            gen_class(method)(context).expect("writing to memory does not fail").into_inner();
        *out = written;
    });
}

/// Returns true if AMQP 0-9-1 with RabbitMQ's extensions has this method.
fn exists(class: u16, method: u16) -> bool {
    match class {
        10 => matches!(method, 10 | 11 | 20 | 21 | 30 | 31 | 40 | 41 | 50 | 51 | 60 | 61 | 70 | 71),
        20 => matches!(method, 10 | 11 | 20 | 21 | 40 | 41),
        30 => matches!(method, 10 | 11),
        40 => matches!(method, 10 | 11 | 20 | 21 | 30 | 31 | 40 | 51),
        50 => matches!(method, 10 | 11 | 20 | 21 | 30 | 31 | 40 | 41 | 50 | 51),
        60 => matches!(
            method,
            10 | 11
                | 20
                | 21
                | 30
                | 31
                | 40
                | 50
                | 60
                | 70
                | 71
                | 72
                | 80
                | 90
                | 100
                | 110
                | 111
                | 120
        ),
        85 => matches!(method, 10 | 11),
        90 => matches!(method, 10 | 11 | 20 | 21 | 30 | 31),
        _ => false,
    }
}

/// Checks the table in a method's arguments, if the method has one.
fn check_table(class: u16, method: u16, mut reader: Reader<'_>) -> Result<(), WireError> {
    // Fixed bytes, then short strings, then octets of bits, then the table.
    let (fixed, strings, bits) = match (class, method) {
        (10, 10) => (2, 0, 0),            // connection.start: version
        (10, 11) => (0, 0, 0),            // connection.start-ok
        (40, 10) => (2, 2, 1),            // exchange.declare
        (40, 30) | (40, 40) => (2, 3, 1), // exchange.bind, unbind
        (50, 10) => (2, 1, 1),            // queue.declare
        (50, 20) => (2, 3, 1),            // queue.bind
        (50, 50) => (2, 3, 0),            // queue.unbind has no no-wait
        (60, 20) => (2, 2, 1),            // basic.consume
        _ => return Ok(()),
    };
    reader.bytes(fixed)?;
    for _ in 0..strings {
        reader.shortstr()?;
    }
    reader.bytes(bits)?;
    TableView::parse(reader.table_bytes()?).map(|_| ())
}

#[cfg(test)]
mod tests;
