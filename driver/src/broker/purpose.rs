//! What connections are used for.

/// What a connection is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Requests.
    Publish,
    /// Buffered casts: their senders wait for no confirm.
    Cast,
    Notify,
    /// Replies of our servers.
    SentReplies,
    /// Replies to our clients.
    Replies,
    Server,
    Listener,
}

impl Purpose {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Cast => "casts",
            Self::Notify => "notify",
            Self::SentReplies => "answers",
            Self::Replies => "replies",
            Self::Server => "server",
            Self::Listener => "listener",
        }
    }

    /// Whether it publishes; the others consume.
    pub(super) const fn publishes(self) -> bool {
        matches!(self, Self::Publish | Self::Cast | Self::Notify | Self::SentReplies)
    }
}
