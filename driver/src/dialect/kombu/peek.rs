//! Finds the id of a reply in the last bytes of its body, without reading it.
//!
//! Matched backwards from the last byte, because only there is the text fixed: whatever a result
//! contains sits before, and its own quotes carry more backslashes. A wrong guess is impossible to
//! rule out (a peer may repeat a key), so this only chooses who decodes; the full decode decides.

use crate::dialect::kombu::envelope_reader::ENVELOPE_OPEN;
use crate::dialect::peek::Peek;
use crate::message::ids::Hex32;

/// As many bytes from the end as [`reply`] ever looks at.
pub(crate) const TAIL_BYTES: usize = 256;

/// Looks for the id in `tail`, the last [`TAIL_BYTES`] of a body (or all of it, if shorter).
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
    // A sign of life is short: the tail is all of it. Anything else that does not end is an old
    // server's first message of two, the one with the result.
    let nothing = rest.strip_prefix(ENVELOPE_OPEN)? == br#"{\"result\": null, \"failure\": null"#;
    Some(if nothing { Peek::Heartbeat(msg_id) } else { Peek::Reply(msg_id) })
}

fn strip_id(text: &[u8]) -> Option<(&[u8], Hex32)> {
    let (rest, digits) = text.split_at_checked(text.len().checked_sub(32)?)?;
    Some((rest, Hex32::from_digits(digits)?))
}

/// Who waits for the answer to a request of which only the end is there: the id of its call and the
/// queue of its replies.
pub(crate) fn sender(tail: &[u8]) -> Option<(Hex32, &str)> {
    let behind = |key: &[u8]| {
        let at = tail.windows(key.len()).rposition(|window| window == key)?;
        Some(&tail[at + key.len()..])
    };
    let msg_id = Hex32::from_digits(behind(br#"\"_msg_id\": \""#)?.get(..32)?)?;
    let queue = behind(br#"\"_reply_q\": \""#)?;
    let end = queue.iter().position(|byte| *byte == b'\\')?;
    Some((msg_id, std::str::from_utf8(&queue[..end]).ok()?))
}
