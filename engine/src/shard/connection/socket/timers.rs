//! The timers of a socket: heartbeats, deferred acknowledgements and refused publications.

use std::rc::Rc;
use std::time::Duration;

use crate::reactor;
use crate::shard::connection::methods::qos_method;
use crate::shard::connection::state::Conn;

/// How long publications of channels with `Confirms::Together` are unconfirmed, unless there are
/// many of them.
const ANSWER_DELAY: Duration = Duration::from_millis(100);
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

/// Confirms publications of channels with [`Confirms::Together`](crate::Confirms::Together): asks
/// something on the channel, and the broker answers when it has processed what was published
/// before.
pub(crate) async fn confirm_together(conn: Rc<Conn>) {
    loop {
        conn.awaits_answer.notified().await;
        let _ = reactor::within(ANSWER_DELAY, conn.ask_now.notified()).await;
        let awaiting: Vec<(u16, u64)> = {
            let channels = conn.channels.borrow();
            let awaited = channels.iter().filter(|(_, state)| state.is_open());
            let awaited =
                awaited.map(|(number, state)| (*number, state.publications.awaits_answer()));
            awaited.filter_map(|(number, awaited)| Some((number, awaited?.0))).collect()
        };
        for (number, tag) in awaiting {
            let Ok(epoch) = conn.epoch(number) else { continue };
            // A channel that was closed has ended its publications.
            let answered = conn.request(number, qos_method(0)).await;
            if answered.is_err() || conn.is_epoch_over(number, epoch) {
                continue;
            }
            let settled = conn.with_channel(number, |state| {
                let outcomes = &mut conn.outcomes.borrow_mut();
                state.publications.settle(tag, true, true, outcomes);
                state.publications.awaits_answer().is_some()
            });
            conn.complete_outcomes();
            if settled.unwrap_or(false) {
                conn.awaits_answer.notify_one();
            }
        }
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
