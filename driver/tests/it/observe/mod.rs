//! Health, counters and reports.

mod health;
mod oslo_metrics;
