//! When servers acknowledge requests, and how requests of calls and their replies are confirmed.

/// When a server acknowledges the requests that it takes up (`request_acks`, an option that oslo
/// does not have). [`guide::delivery`](crate::guide::delivery) says what each promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RequestAcks {
    /// `each`: at once and before it executes them, as oslo does.
    #[default]
    Each,
    /// `together`: within 5 ms, several with one frame, which saves the broker and the server a
    /// packet for each request. A server that loses its connection meanwhile may have executed up
    /// to 64 requests that RabbitMQ delivers again.
    Together,
}

/// How the broker confirms the requests of calls, and replies (`call_confirms`, an option that oslo
/// does not have). [`guide::delivery`](crate::guide::delivery) says what each promises.
///
/// Nobody waits for these confirms: a caller waits for its reply, and a server for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CallConfirms {
    /// `each`: one by one, as oslo does.
    #[default]
    Each,
    /// `together`: not by the broker. Ten times a second an answer on the same channel shows that
    /// it has processed all before, which saves the broker, the client and the server a frame for
    /// each request and each reply. A queue that refuses a message is not noticed. For the `kombu`
    /// dialect.
    Together,
}
