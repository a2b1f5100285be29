//! Python's peers, of today's driver and of the former one.

mod pika_client;
mod pika_notify;
mod pika_server;
mod python_client;
mod python_notify;
mod python_server;
mod service;
