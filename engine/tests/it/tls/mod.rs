//! Encrypted connections to a real RabbitMQ, which shows and asks for certificates made on the
//! spot.

mod brokers;
mod clients;
mod cuts;
mod files;
mod rotation;
mod scenario;
mod traffic;
