//! Private RabbitMQ nodes and Python peers for tests.
