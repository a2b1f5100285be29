//! The destination of a publication: exchange and routing key.

/// The destination of a publication.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// The exchange; an empty name is the default exchange, which routes by queue name.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// The broker returns the publication if it finds no queue for it (AMQP 1.8.3.7).
    pub mandatory: bool,
}
