//! Messages that are small on the wire and large in memory.

pub(crate) const JSON: &str = "application/json";
pub(crate) const MSGPACK: &str = "application/msgpack";

/// The reply queue that the requests name, and the id of their call.
pub(crate) const REPLIES: &str = "reply_stranger";
pub(crate) const CALL: &str = "0123456789abcdef0123456789abcdef";

/// Returns an array of `count` elements, as compact as JSON permits.
pub(crate) fn array_of(element: &str, count: usize) -> String {
    format!("[{}{element}]", format!("{element},").repeat(count - 1))
}

pub(crate) fn packed_array_of(element: &[u8], count: u32) -> Vec<u8> {
    [&[0xdd], &count.to_be_bytes()[..], &element.repeat(count as usize)].concat()
}

/// Returns a request with one entry in its context; the reply queue comes last.
pub(crate) fn json_request(method: &str, args: &str, key: &str, context: &str) -> String {
    format!(
        r#"{{"method": "{method}", "args": {args}, "{key}": {context}, {}}}"#,
        format_args!(r#""_msg_id": "{CALL}", "_reply_q": "{REPLIES}""#)
    )
}

/// Wraps a payload in the envelope that Python writes.
pub(crate) fn enveloped(payload: &str) -> String {
    let payload = serde_json::Value::from(payload);
    format!(r#"{{"oslo.version": "2.0", "oslo.message": {payload}}}"#)
}

fn text(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [&[0xd9, length], text.as_bytes()].concat()
}

pub(crate) fn msgpack_request(method: &str, args: &[u8], key: &str, context: &[u8]) -> Vec<u8> {
    let named = [text("method"), text(method), text("args"), args.to_vec()].concat();
    [&[0x83], &named[..], &text(key), context].concat()
}
