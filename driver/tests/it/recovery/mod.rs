//! What is sent again, and what is not, when a connection or a broker is lost. Tests that kill
//! brokers are in `faults`.

mod at_most_once;
mod cuts;
mod refused_replies;
mod reply_path;
mod restart;
mod retry;
