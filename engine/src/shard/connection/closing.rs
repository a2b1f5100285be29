//! The end of a connection: waits until publications are confirmed, then closes.

use std::time::Duration;

use crate::error::Error;
use crate::reactor;
use crate::shard::border::status::ConnectionState;
use crate::shard::connection::channel::state::ChannelState;
use crate::shard::connection::state::Conn;

/// How often a flush checks whether it is complete.
const FLUSH_POLL: Duration = Duration::from_millis(1);

impl Conn {
    /// Waits until the publications of a channel are sent and confirmed, or the socket is down.
    pub(crate) async fn wait_until_flushed(&self, channel: u16) {
        self.ask_now.notify_one();
        while self.channels.borrow().get(&channel).is_some_and(ChannelState::is_busy)
            && !self.is_down()
        {
            reactor::sleep(FLUSH_POLL).await;
        }
    }

    /// The same for all channels. Does not wait while the connection is reconnecting.
    pub(crate) async fn wait_until_all_flushed(&self) {
        self.ask_now.notify_one();
        while self.channels.borrow().values().any(ChannelState::is_busy)
            && !self.is_down()
            && self.shared.status.state() != ConnectionState::Connecting
        {
            reactor::sleep(FLUSH_POLL).await;
        }
    }

    /// True while publications wait to be sent or confirmed.
    pub(crate) fn has_unsettled(&self) -> bool {
        self.channels.borrow().values().any(|state| state.publications.has_unsettled())
    }

    /// Stops accepting publications and deliveries. A full consumer no longer stops the reading.
    pub(crate) fn begin_closing(&self) {
        self.closing.set(true);
        for state in self.channels.borrow().values() {
            state.shared.outbox.stop_accepting(Error::stopped());
        }
        self.shared.read_bell.ring();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Closes the connection with `connection.close`. The supervisor ends when the socket is down.
    pub(crate) async fn close(&self) {
        self.stopping.set(true);
        if let Some(proto) = self.proto.borrow_mut().as_mut().filter(|_| self.opened.get()) {
            proto.close(200, "closed on request");
        }
        self.shared.write_bell.ring();
        self.changed.notify_waiters();
        self.wait_until_closed().await;
    }

    /// Drops the socket without `connection.close`.
    pub(crate) fn abandon(&self) {
        self.stopping.set(true);
        self.fail(Error::stopped());
    }

    pub(crate) async fn wait_until_closed(&self) {
        self.wait_until(|conn| conn.shared.status.state() == ConnectionState::Closed).await;
    }
}
