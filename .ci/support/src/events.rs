//! A `tracing` subscriber for tests.

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Calls a function for each event of Leveret. It records no spans.
pub struct EventSubscriber<F>(pub F);

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Subscriber for EventSubscriber<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("leveret")
    }

    fn event(&self, event: &Event<'_>) {
        self.0(event);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
