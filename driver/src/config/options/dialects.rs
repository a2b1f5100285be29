//! The dialects of a transport: those it accepts, and the one it sends.
//!
//! The scheme of the URL decides where an option is not set. Not here: options of one dialect
//! (`pika`), and the dialects themselves (`crate::dialect`).

/// The dialects that a server or listener accepts (`dialect_serving`, an option that oslo does not
/// have).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ServingDialect {
    /// `kombu`: that of oslo's `rabbit` driver. Default for `rabbit://`.
    #[default]
    Kombu,
    /// `pika`: that of oslo's old `pika` driver. Default for `pika://`.
    Pika,
    /// `both`: queues of both dialects; a reply has the dialect of its request.
    Both,
}

/// The dialect of a client or notifier (`dialect_sending`, an option that oslo does not have).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SendingDialect {
    /// `kombu`: that of oslo's `rabbit` driver. Default for `rabbit://`.
    #[default]
    Kombu,
    /// `pika`: that of oslo's old `pika` driver. Default for `pika://`.
    Pika,
    /// `auto`: messages that servers of both dialects understand, to the `pika` queue if it exists,
    /// else to that of `kombu`.
    Auto,
}

/// What a server does with requests that the broker redelivers (`redelivered`, an option that oslo
/// does not have).
///
/// The broker redelivers a request when the connection is lost before the acknowledgement: the
/// request may have been executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Redelivered {
    /// `dispatch`: the server executes them, as oslo does, except those that it received before.
    #[default]
    Dispatch,
    /// `refuse`: the server drops and counts them. With [`Retry::Never`](crate::Retry::Never) in
    /// the client, no server executes a request twice.
    Refuse,
}

impl ServingDialect {
    pub(crate) const fn has_kombu(self) -> bool {
        matches!(self, Self::Kombu | Self::Both)
    }

    pub(crate) const fn has_pika(self) -> bool {
        matches!(self, Self::Pika | Self::Both)
    }

    /// The prefetch in force of those of the two dialects, 0 for no limit. Servers of both dialects
    /// have one for all queues: that of `kombu` if it is set.
    pub(crate) const fn prefetch(self, of_kombu: u16, of_pika: u16) -> u16 {
        match self {
            Self::Kombu => of_kombu,
            Self::Both if of_kombu > 0 => of_kombu,
            Self::Both | Self::Pika => of_pika,
        }
    }
}
