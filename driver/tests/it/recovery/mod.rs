//! Retransmission after the loss of a connection or a broker. Tests that kill brokers are in
//! `faults`.

mod at_most_once;
mod cuts;
mod lost_declarations;
mod refused_replies;
mod reply_path;
mod restart;
mod retry;
