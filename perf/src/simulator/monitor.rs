//! Prints a line per collector once a second, at whole seconds.
//!
//! A late line does not delay later ones. The monitor makes the last point when it stops, so no
//! message is left out.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::collector::Collector;
use super::summary;
use crate::system::clock;

/// A running monitor.
pub(crate) struct Monitor {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Monitor {
    /// Starts to print the points of `collectors`.
    pub(crate) fn start(collectors: Vec<Arc<Collector>>) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("monitor".to_owned()).spawn(move || {
            loop {
                let ended = stopped.recv_timeout(until_next_second(clock::wall_seconds()));
                let now = clock::wall_seconds();
                for collector in &collectors {
                    summary::print_point(collector.label(), &collector.point(now));
                }
                if ended != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Makes the last points and ends.
    pub(crate) fn stop(self) {
        drop(self.stop);
        // A monitor that panicked has printed that; its points are still there.
        let _ = self.thread.join();
    }
}

/// From `now` to the next whole second.
fn until_next_second(now: f64) -> Duration {
    Duration::from_secs_f64((1.0 - now.fract()).clamp(0.001, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::message::Message;

    #[test]
    fn points_are_aligned_to_whole_seconds() {
        assert_eq!(until_next_second(10.25), Duration::from_millis(750));
        assert_eq!(until_next_second(10.0), Duration::from_secs(1));
    }

    #[test]
    fn what_was_noted_last_is_in_the_last_point() {
        let collector = Arc::new(Collector::new("client_0".to_owned()));
        let monitor = Monitor::start(vec![Arc::clone(&collector)]).expect("threads start");
        collector.note(&Message::outgoing(0, "abc", 1.0));
        monitor.stop();
        assert_eq!(collector.series().iter().map(|point| point.count).sum::<u64>(), 1);
    }
}
