//! The keys of requests and notifications, with their JSON text, and the prefixes of context keys.

/// The prefix of context keys in the `kombu` format.
pub(in crate::dialect) const KOMBU_CONTEXT_PREFIX: &str = "_context_";
/// The prefix of context keys in the `pika` format.
pub(in crate::dialect) const PIKA_CONTEXT_PREFIX: &str = "_$_";

/// The text between a member and the key of a context entry, at each level of nesting.
pub(super) const ENTRY_OPEN: [&str; 2] = [", \"", ", \\\""];
/// The text between the key of a context entry and its value, at each level of nesting.
pub(super) const ENTRY_COLON: [&str; 2] = ["\": ", "\\\": "];

/// A key that bodies are written with.
///
/// Its JSON text is a constant, so that a writer copies separator, key, colon and quote at once.
pub(in crate::dialect) struct Key {
    pub(super) name: &'static str,
    /// The text from the separator to the opening quote of a string, at each level of nesting. The
    /// separator of a key that begins an object is its brace.
    pub(super) json: [&'static str; 2],
}

macro_rules! keys {
    ($separator:literal: $($constant:ident = $name:literal;)*) => {$(
        pub(in crate::dialect) const $constant: Key = Key {
            name: $name,
            json: [
                concat!($separator, "\"", $name, "\": \""),
                concat!($separator, "\\\"", $name, "\\\": \\\""),
            ],
        };
    )*};
}

// Each begins an object.
keys! { "{":
    METHOD = "method";
    MESSAGE_ID = "message_id";
    PIKA_RESULT = "s";
    PIKA_FAILURE = "e";
}

keys! { ", ":
    ARGS = "args";
    NAMESPACE = "namespace";
    VERSION = "version";
    UNIQUE_ID = "_unique_id";
    MSG_ID = "_msg_id";
    REPLY_QUEUE = "_reply_q";
    TIMEOUT = "_timeout";
    PUBLISHER_ID = "publisher_id";
    EVENT_TYPE = "event_type";
    PRIORITY = "priority";
    PAYLOAD = "payload";
    TIMESTAMP = "timestamp";
}
