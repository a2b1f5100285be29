//! Bodies like those of oslo.messaging's `rabbit` driver: a fixed text around a payload of letters
//! that need no escape.
//!
//! Invariant: ids and the reply queue's name have fixed lengths, so fields are found by their
//! offsets and nothing is parsed. Not here: contexts, failures, other methods.

/// Length of an id, and of the digits in a reply queue's name.
const ID_BYTES: usize = 32;
/// Prefix of the name of a reply queue.
const REPLY_QUEUE: &str = "reply_";
const REPLY_QUEUE_BYTES: usize = REPLY_QUEUE.len() + ID_BYTES;

const OPEN: &[u8] = br#"{"oslo.version": "2.0", "oslo.message": ""#;
const METHOD: &[u8] = br#"{\"method\": \"info\", \"args\": {\"message\": \""#;
const ARGUMENTS_CLOSE: &[u8] = br#"\"}"#;
const RESULT: &[u8] = br#"{\"result\": \""#;
const RESULT_CLOSE: &[u8] = br#"\", \"failure\": null, \"ending\": true"#;
const MSG_ID: &[u8] = br#", \"_msg_id\": \""#;
const REPLY_Q: &[u8] = br#"\", \"_reply_q\": \""#;
const TIMEOUT: &[u8] = br#"\", \"_timeout\": null"#;
const UNIQUE_ID: &[u8] = br#", \"_unique_id\": \""#;
const NOTIFICATION_ID: &[u8] = br#"{\"message_id\": \"00000000-0000-4000-8000-000000000000\", "#;
const NOTIFICATION_HEAD: &[u8] =
    br#"\"publisher_id\": \"perf\", \"event_type\": \"info\", \"priority\": \"INFO\", "#;
const PAYLOAD: &[u8] = br#"\"payload\": {\"message\": \""#;
const TIMESTAMP: &[u8] = br#", \"timestamp\": \"2026-11-22 22:32:27.290698\""#;
const QUOTE: &[u8] = br#"\""#;
const CLOSE: &[u8] = br#"\"}"}"#;

/// Length of a call's body from its message id on.
const AFTER_MSG_ID: usize = ID_BYTES + AFTER_REPLY_Q + REPLY_Q.len();
/// Length of a call's body from the name of its reply queue on.
const AFTER_REPLY_Q: usize =
    REPLY_QUEUE_BYTES + TIMEOUT.len() + UNIQUE_ID.len() + ID_BYTES + CLOSE.len();

/// The id of a call or cast: `number` in hexadecimal.
pub(crate) fn id(number: usize) -> String {
    format!("{number:032x}")
}

/// A random name of a reply queue.
pub(crate) fn reply_queue() -> String {
    format!("{REPLY_QUEUE}{:032x}", fastrand::u128(..))
}

/// The body of a cast.
pub(crate) fn cast(payload: &[u8], id: &str) -> Vec<u8> {
    [OPEN, METHOD, payload, ARGUMENTS_CLOSE, UNIQUE_ID, id.as_bytes(), CLOSE].concat()
}

/// The body of a notification.
pub(crate) fn notification(payload: &[u8], id: &str) -> Vec<u8> {
    let message = [PAYLOAD, payload, ARGUMENTS_CLOSE, TIMESTAMP].concat();
    [OPEN, NOTIFICATION_ID, NOTIFICATION_HEAD, &message, UNIQUE_ID, id.as_bytes(), CLOSE].concat()
}

/// The body of a call whose reply goes to `reply_queue`.
pub(crate) fn call(payload: &[u8], id: &str, reply_queue: &str) -> Vec<u8> {
    let addressed = [MSG_ID, id.as_bytes(), REPLY_Q, reply_queue.as_bytes(), TIMEOUT].concat();
    let head = [OPEN, METHOD, payload, ARGUMENTS_CLOSE].concat();
    [&head, &addressed, UNIQUE_ID, id.as_bytes(), CLOSE].concat()
}

/// The fields of a call's body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Call<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) id: &'a [u8],
    pub(crate) reply_queue: &'a [u8],
}

/// The fields of a call's body; `None` if the body is too short.
pub(crate) fn open_call(body: &[u8]) -> Option<Call<'_>> {
    let id_at = body.len().checked_sub(AFTER_MSG_ID)?;
    let reply_at = body.len() - AFTER_REPLY_Q;
    let payload_end = id_at.checked_sub(MSG_ID.len() + ARGUMENTS_CLOSE.len())?;
    Some(Call {
        payload: body.get(OPEN.len() + METHOD.len()..payload_end)?,
        id: &body[id_at..id_at + ID_BYTES],
        reply_queue: &body[reply_at..reply_at + REPLY_QUEUE_BYTES],
    })
}

/// Writes the body of the reply to a call, with the call's own payload as the result.
pub(crate) fn write_reply(out: &mut Vec<u8>, call: &Call<'_>) {
    let result = [OPEN, RESULT, call.payload, RESULT_CLOSE];
    let ids = [MSG_ID, call.id, QUOTE, UNIQUE_ID, call.id, CLOSE];
    result.into_iter().chain(ids).for_each(|part| out.extend_from_slice(part));
}

/// The message id of a reply's body; `None` if the body is too short.
pub(crate) fn answered(body: &[u8]) -> Option<&[u8]> {
    let after = ID_BYTES + QUOTE.len() + UNIQUE_ID.len() + ID_BYTES + CLOSE.len();
    let at = body.len().checked_sub(after)?;
    body.get(at..at + ID_BYTES)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The message inside the envelope, by a reader that does not count bytes.
    fn message(body: &[u8]) -> Value {
        let envelope: Value = serde_json::from_slice(body).expect("JSON");
        assert_eq!(envelope["oslo.version"], "2.0");
        let text = envelope["oslo.message"].as_str().expect("a text");
        serde_json::from_str(text).expect("JSON in JSON")
    }

    #[test]
    fn bodies_are_those_of_oslo() {
        let (id, queue) = (id(0xab), reply_queue());
        assert_eq!(
            message(&cast(b"hello", &id)),
            json!({"method": "info", "args": {"message": "hello"}, "_unique_id": id})
        );
        assert_eq!(
            message(&call(b"hello", &id, &queue)),
            json!({
                "method": "info", "args": {"message": "hello"}, "_msg_id": id, "_reply_q": queue,
                "_timeout": null, "_unique_id": id,
            })
        );
    }

    #[test]
    fn a_call_is_answered_with_its_own_payload_and_id() {
        let (id, queue) = (id(7), reply_queue());
        let body = call(b"hello", &id, &queue);
        let call = open_call(&body).expect("long enough");
        assert_eq!(call.payload, b"hello");
        assert_eq!((call.id, call.reply_queue), (id.as_bytes(), queue.as_bytes()));
        let mut reply = Vec::new();
        write_reply(&mut reply, &call);
        assert_eq!(
            message(&reply),
            json!({
                "result": "hello", "failure": null, "ending": true,
                "_msg_id": id, "_unique_id": id,
            })
        );
        assert_eq!(answered(&reply), Some(id.as_bytes()));
    }

    #[test]
    fn what_is_too_short_is_nothing() {
        let body = call(b"", &id(7), &reply_queue());
        assert!(open_call(&body).is_some());
        assert_eq!(open_call(&body[1..]), None);
        assert_eq!(answered(&[b'x'; 80]), None);
    }
}
