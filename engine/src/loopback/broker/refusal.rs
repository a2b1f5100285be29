//! Refusals of the broker, with RabbitMQ's codes and texts.
//!
//! Invariant: the code alone decides what is closed. In AMQP 1.2, 311-313 and 403-406 are channel
//! errors; all others close the connection.

use amq_protocol::types::ShortString;

/// A reason to close a channel or a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) text: String,
}

impl Refusal {
    /// Creates a refusal whose text starts with the code's name, as RabbitMQ's texts do.
    pub(crate) fn new(code: u16, detail: impl AsRef<str>) -> Self {
        Self { code, text: format!("{} - {}", name(code), detail.as_ref()) }
    }

    pub(crate) fn not_found(what: &str, name: &str, vhost: &str) -> Self {
        Self::new(404, format!("no {what} '{name}' in vhost '{vhost}'"))
    }

    pub(crate) fn locked(queue: &str, vhost: &str) -> Self {
        Self::new(
            405,
            format!(
                "cannot obtain exclusive access to locked queue '{queue}' in vhost '{vhost}'. It \
                 could be originally declared on another connection or the exclusive property \
                 value does not match that of the original declaration."
            ),
        )
    }

    pub(crate) fn not_implemented(what: &str) -> Self {
        Self::new(540, what)
    }

    /// Returns true if it closes only the channel.
    pub(crate) fn is_soft(&self) -> bool {
        matches!(self.code, 311..=313 | 403..=406)
    }
}

fn name(code: u16) -> &'static str {
    match code {
        200 => "REPLY_SUCCESS",
        311 => "CONTENT_TOO_LARGE",
        312 => "NO_ROUTE",
        313 => "NO_CONSUMERS",
        320 => "CONNECTION_FORCED",
        402 => "INVALID_PATH",
        403 => "ACCESS_REFUSED",
        404 => "NOT_FOUND",
        405 => "RESOURCE_LOCKED",
        406 => "PRECONDITION_FAILED",
        501 => "FRAME_ERROR",
        502 => "SYNTAX_ERROR",
        503 => "COMMAND_INVALID",
        504 => "CHANNEL_ERROR",
        505 => "UNEXPECTED_FRAME",
        506 => "RESOURCE_ERROR",
        530 => "NOT_ALLOWED",
        540 => "NOT_IMPLEMENTED",
        541 => "INTERNAL_ERROR",
        _ => "UNKNOWN",
    }
}

/// Cuts `text` to a short string, between characters.
pub(crate) fn short(text: &str) -> ShortString {
    let mut end = text.len().min(255);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    ShortString::from(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_what_is_closed() {
        for code in [311, 403, 404, 405, 406] {
            assert!(Refusal::new(code, "x").is_soft(), "{code}");
        }
        for code in [320, 501, 503, 504, 505, 530, 540, 541] {
            assert!(!Refusal::new(code, "x").is_soft(), "{code}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(short("abc").as_str(), "abc");
        let long = format!("{}é", "x".repeat(254));
        assert_eq!(short(&long).as_str(), "x".repeat(254));
    }
}
