//! What a server listens to: the queues of the dialects it understands.
//!
//! Those of the `rabbit` driver come first. Where both dialects use one exchange, because the
//! target names it, it is the `rabbit` driver's: a topic exchange also routes by keys that are
//! equal, which is all the other one needs. Not here: what happens to a request (`serving`).

use crate::dialect::Dialect;
use crate::error::Error;
use crate::message::target::Target;
use crate::rpc::server::incoming::RequestSource;
use crate::topology::{Queue, Subscription};
use crate::transport::transport::Transport;

/// A server's queues.
pub(crate) struct ServerQueues {
    pub(crate) queues: Vec<(Subscription, RequestSource)>,
    pub(crate) prefetch: u16,
    /// To be deleted in the end; none where another server will use it.
    pub(crate) fanout_queue: Option<String>,
    /// Nobody else consumes from these, so what is in them in the end is taken first.
    pub(crate) own: Vec<Subscription>,
    /// Queues that are removed once nobody consumes from them.
    pub(crate) abandoned: Vec<(Subscription, RequestSource)>,
}

impl ServerQueues {
    /// What a server of `target` listens to.
    pub(crate) async fn of(transport: &Transport, target: &Target) -> Result<Self, Error> {
        let (config, serving) = (transport.config(), transport.serving());
        let wanted = serving.prefetch(config.prefetch, config.pika.rpc_prefetch);
        let prefetch = if wanted == 0 { PREFETCH } else { wanted };
        let (queues, fanout_queue, own, abandoned) = (Vec::new(), None, Vec::new(), Vec::new());
        let mut served = Self { queues, prefetch, fanout_queue, own, abandoned };
        if serving.has_kombu() {
            served.add_kombu(transport, target).await?;
        }
        if serving.has_pika() {
            served.add_pika(transport, target)?;
        }
        Ok(served)
    }

    /// What is known of requests that come through one of its queues.
    pub(crate) fn source_of(&self, subscription: &Subscription) -> RequestSource {
        let name = &subscription.queue.name;
        let found = self.queues.iter().find(|(known, _)| known.queue.name == *name);
        found.map(|(_, source)| *source).expect("only its own queues are asked for")
    }

    async fn add_kombu(&mut self, transport: &Transport, target: &Target) -> Result<(), Error> {
        let all = transport.topology().server(target, &transport.fanout_id().await?)?;
        let local_id = transport.ids().unique_id();
        let local = transport.topology().local(target, local_id.as_str())?;
        let [.., fanout] = &all;
        let goes = !fanout.queue.is_stream() && !transport.config().stable_names.enabled;
        self.fanout_queue = goes.then(|| fanout.queue.name.clone());
        self.own = local.iter().chain(goes.then_some(fanout)).cloned().collect();
        let goes =
            |queue: &Queue| queue.exclusive || self.fanout_queue.as_ref() == Some(&queue.name);
        let queues = all.into_iter().chain(local).map(|subscription| {
            let is_ours = goes(&subscription.queue);
            (subscription, RequestSource { dialect: Dialect::Kombu, is_ours, no_ack: false })
        });
        self.queues.extend(queues);
        Ok(())
    }

    fn add_pika(&mut self, transport: &Transport, target: &Target) -> Result<(), Error> {
        let ids = [transport.ids().unique_id(), transport.ids().unique_id()];
        let ids = [ids[0].as_str(), ids[1].as_str()];
        let named = target.exchange().is_some_and(|name| !name.is_empty());
        let shared = (named && transport.serving().has_kombu())
            .then(|| self.queues.first().and_then(|(first, _)| first.binding.clone()))
            .flatten();
        for mut subscription in transport.pika().server(target, ids)? {
            if let (Some((theirs, _)), Some((ours, _))) = (&shared, &mut subscription.binding) {
                ours.clone_from(theirs);
            }
            // What was taken is executed: the queue may be gone when the server stops.
            let (dialect, is_ours, no_ack) = (Dialect::Pika, true, subscription.queue.no_ack);
            let source = RequestSource { dialect, is_ours, no_ack };
            self.abandoned.push((subscription.clone(), source));
            self.queues.push((subscription, source));
        }
        Ok(())
    }
}

/// Requests the broker may leave with us unacknowledged where the options set no prefetch: enough
/// to keep any number of workers busy across a slow link. oslo sets none, and holds whatever comes.
pub(crate) const PREFETCH: u16 = 2048;
