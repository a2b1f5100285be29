//! The timers of a socket: heartbeats, deferred acknowledgements and refused publications.

use std::rc::Rc;
use std::time::Duration;

use crate::reactor;
use crate::shard::connection::state::Conn;

/// How long acknowledgements may be deferred.
const ACK_DELAY: Duration = Duration::from_millis(5);

/// Sends deferred acknowledgements after their delay.
pub(crate) async fn flush_deferred_acks(conn: Rc<Conn>) {
    loop {
        conn.deferred_acks.notified().await;
        reactor::sleep(ACK_DELAY).await;
        conn.channels.borrow_mut().values_mut().for_each(|state| state.deliveries.flush_acks());
        conn.shared.write_bell.ring();
    }
}

/// Sends refused publications again when they are due.
pub(crate) async fn resend_nacked(conn: Rc<Conn>) {
    loop {
        let now = reactor::now();
        let due = conn
            .channels
            .borrow()
            .values()
            .filter_map(|state| state.publications.release_due(now))
            .min();
        conn.shared.write_bell.ring();
        let more = conn.delayed.notified();
        match due {
            Some(due) => drop(reactor::within(due.saturating_duration_since(now), more).await),
            None => more.await,
        }
    }
}

/// Enforces both heartbeat deadlines.
pub(crate) async fn run_heartbeats(conn: Rc<Conn>) {
    conn.wait_until(|conn| conn.opened.get()).await;
    loop {
        let next = conn.proto.borrow().as_ref().and_then(|proto| proto.next_timeout());
        let Some(next) = next else { return };
        reactor::sleep_until(next).await;
        let checked = match conn.proto.borrow_mut().as_mut() {
            Some(proto) => proto.handle_timeout(reactor::now()),
            None => return,
        };
        match checked {
            Ok(()) => conn.shared.write_bell.ring(),
            Err(error) => conn.fail_unresponsive(error.into()),
        }
    }
}
