//! Finds the call of a reply in the last bytes of its body, without decoding the body.
//!
//! The bytes are matched backwards from the last one, as only the end is fixed text: the result
//! stands before it, and the quotes in a result have more backslashes. The match may be wrong, as a
//! peer may repeat a key. So it only chooses the caller that decodes the reply; the full decode
//! decides.

use crate::dialect::kombu::envelope_reader::ENVELOPE_OPEN;
use crate::dialect::peek::Peek;
use crate::message::ids::Hex32;

/// The number of bytes at the end of a body that [`reply`] needs.
pub(crate) const TAIL_BYTES: usize = 256;

/// Finds the id of the call in `tail`: the last [`TAIL_BYTES`] of a body, or all of a shorter one.
pub(crate) fn reply(tail: &[u8]) -> Peek {
    find(tail).unwrap_or(Peek::Unsure)
}

fn find(tail: &[u8]) -> Option<Peek> {
    let rest = tail.strip_suffix(br#"\"}"}"#)?;
    let (rest, _) = strip_id(rest)?;
    let rest = rest.strip_suffix(br#"\", \"_unique_id\": \""#)?;
    let (rest, msg_id) = strip_id(rest)?;
    let rest = rest.strip_suffix(br#", \"_msg_id\": \""#)?;
    let (rest, ending) = match rest.strip_suffix(b"true") {
        Some(rest) => (rest, true),
        None => (rest.strip_suffix(b"false")?, false),
    };
    let rest = rest.strip_suffix(br#", \"ending\": "#)?;
    if ending {
        return Some(Peek::Reply(msg_id));
    }
    // A heartbeat is short: the tail is all of it. Any other reply with `ending` false is the first
    // of an old server's two messages, which has the result.
    let is_empty = rest.strip_prefix(ENVELOPE_OPEN)? == br#"{\"result\": null, \"failure\": null"#;
    Some(if is_empty { Peek::Heartbeat(msg_id) } else { Peek::Reply(msg_id) })
}

fn strip_id(text: &[u8]) -> Option<(&[u8], Hex32)> {
    let (rest, digits) = text.split_at_checked(text.len().checked_sub(32)?)?;
    Some((rest, Hex32::from_digits(digits)?))
}

/// Finds the id of the call and the queue of its replies in the end of a request.
pub(crate) fn sender(tail: &[u8]) -> Option<(Hex32, &str)> {
    let value_of = |key: &[u8]| {
        let at = tail.windows(key.len()).rposition(|window| window == key)?;
        Some(&tail[at + key.len()..])
    };
    let msg_id = Hex32::from_digits(value_of(br#"\"_msg_id\": \""#)?.get(..32)?)?;
    let queue = value_of(br#"\"_reply_q\": \""#)?;
    let end = queue.iter().position(|byte| *byte == b'\\')?;
    Some((msg_id, std::str::from_utf8(&queue[..end]).ok()?))
}
