//! Recovery of connections, channels, consumers and declarations.

mod audit;
mod broker_restart;
mod channel_exceptions;
mod consumers;
mod credentials;
mod hosts;
mod overtaken;
mod refusing_brokers;
mod resending;
pub(crate) mod scenario;
mod topology;
mod unanswered;
