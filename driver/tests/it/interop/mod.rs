//! Python peers, on the current driver and on the former one.

mod pika_client;
mod pika_notify;
mod pika_server;
mod python_client;
mod python_notify;
mod python_server;
mod service;
