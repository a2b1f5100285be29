//! Records what the engine logs, for tests that check it.
//!
//! One subscriber records the lines of the whole test binary. Tests run in parallel, so each test
//! searches for words of its own.

use std::fmt::{Debug, Write};
use std::sync::{Mutex, Once, PoisonError};

use leveret_support::EventSubscriber;
use tracing::Event;
use tracing::field::{Field, Visit};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Records every event from now on.
pub(crate) fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(EventSubscriber(keep_line)).unwrap());
}

/// Returns the events whose line contains `words`.
pub(crate) fn lines_with(words: &str) -> Vec<String> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().filter(|line| line.contains(words)).cloned().collect()
}

fn keep_line(event: &Event<'_>) {
    let mut line = Line(event.metadata().level().to_string());
    event.record(&mut line);
    LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}
