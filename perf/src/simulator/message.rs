//! The simulator's message: `[seq, cargo, client_ts, server_ts, return_ts]`.
//!
//! Times are seconds since the epoch as floats, 0 while unknown, as in oslo.messaging's simulator.
//! One-way latencies compare two clocks, so they are valid on one host only.

use serde::{Deserialize, Serialize};

/// A message, in the order of its list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message(
    /// Number of the message in its thread.
    pub(crate) u64,
    /// Text of the drawn length.
    pub(crate) String,
    /// When the client sent it.
    pub(crate) f64,
    /// When the server received it.
    pub(crate) f64,
    /// When the client received it back.
    pub(crate) f64,
);

impl Message {
    /// A message about to be sent.
    pub(crate) fn outgoing(seq: u64, cargo: &str, now: f64) -> Self {
        Self(seq, cargo.to_owned(), now, 0.0, 0.0)
    }

    /// The round trip if the message came back, the one-way latency if it only arrived, else
    /// `None`.
    pub(crate) fn latency(&self) -> Option<f64> {
        let Self(_, _, client, server, back) = *self;
        match (back > 0.0, server > 0.0) {
            (true, _) => Some(back - client),
            (false, true) => Some(server - client),
            (false, false) => None,
        }
    }

    /// Length of the cargo.
    pub(crate) fn size(&self) -> usize {
        self.1.len()
    }
}

/// Argument of `sync_start` and `sync_done`: the client that starts or ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SyncMessage {
    /// `<client> <salt>@<host>`.
    pub(crate) id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_list_of_five() {
        let message = Message::outgoing(3, "abc", 1.5);
        let json = serde_json::to_string(&message).expect("plain data");
        assert_eq!(json, r#"[3,"abc",1.5,0.0,0.0]"#);
        // Python writes an integer if it has one.
        let back: Message = serde_json::from_str(r#"[3, "abc", 1.5, 0, 0]"#).expect("a message");
        assert_eq!(back, message);
    }

    #[test]
    fn latency_is_of_the_longest_known_way() {
        assert_eq!(Message(0, String::new(), 1.0, 0.0, 0.0).latency(), None);
        assert_eq!(Message(0, String::new(), 1.0, 1.5, 0.0).latency(), Some(0.5));
        assert_eq!(Message(0, String::new(), 1.0, 1.5, 3.0).latency(), Some(2.0));
    }
}
