//! Which dialects a transport speaks: when it serves, and when it sends.
//!
//! What is not said is settled by the scheme of the URL. Not here: how a dialect is spoken (`pika`,
//! `dialect`).

/// The dialects a server or listener understands (`dialect_serving`, an option of Leveret's own).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ServingDialect {
    /// `kombu`: that of oslo's `rabbit` driver. Default for `rabbit://`.
    #[default]
    Kombu,
    /// `pika`: that of oslo's old `pika` driver. Default for `pika://`.
    Pika,
    /// `both`: queues of both, each request answered as it came.
    Both,
}

/// The dialect a client or notifier sends in (`dialect_sending`, an option of Leveret's own).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SendingDialect {
    /// `kombu`: that of oslo's `rabbit` driver. Default for `rabbit://`.
    #[default]
    Kombu,
    /// `pika`: that of oslo's old `pika` driver. Default for `pika://`.
    Pika,
    /// `auto`: messages that both understand, to the `pika` names where somebody listens there,
    /// else to those of `kombu`.
    Auto,
}

/// What a server does with requests that the broker has delivered before (`redelivered`, an option
/// of Leveret's own).
///
/// A request comes again when the connection that brought it was lost before it was acknowledged:
/// it may have been executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Redelivered {
    /// `dispatch`: they are executed, as by oslo, unless this server itself has seen them.
    #[default]
    Dispatch,
    /// `refuse`: they are dropped and counted: with [`Retry::Never`](crate::Retry::Never) on the
    /// client's side nothing is executed twice, by whatever server.
    Refuse,
}

impl ServingDialect {
    pub(crate) const fn has_kombu(self) -> bool {
        matches!(self, Self::Kombu | Self::Both)
    }

    pub(crate) const fn has_pika(self) -> bool {
        matches!(self, Self::Pika | Self::Both)
    }

    /// Which of the two dialects' prefetches is in force, 0 for no limit. Where both are spoken it
    /// is one for all queues: that of `kombu` if there is any.
    pub(crate) const fn prefetch(self, of_kombu: u16, of_pika: u16) -> u16 {
        match self {
            Self::Kombu => of_kombu,
            Self::Both if of_kombu > 0 => of_kombu,
            Self::Both | Self::Pika => of_pika,
        }
    }
}
