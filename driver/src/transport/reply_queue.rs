//! The queue that replies come back through: opened by the first call, and again by the next one
//! after its consumer was lost for good.
//!
//! Its name stays for the transport's life, as servers try for a while to reach it. Not here: whose
//! a reply is (`replies`).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::Transport;
use super::replies::ReplySink;
use crate::broker::{self, Listening, Purpose};
use crate::config::SendingDialect;
use crate::error::Error;
use crate::target::Target;
use crate::target::entity::Subscription;

/// The consumer of replies.
pub(super) struct Replies {
    pub(super) listening: Listening,
    /// Exchanges that servers of the `pika` dialect reply through, bound to its queue.
    heard: HashSet<String>,
}

impl Transport {
    /// The queue replies come back through, consumed from before `deadline`.
    pub(crate) async fn reply_queue(&self, deadline: Instant) -> Result<Arc<str>, Error> {
        if let Some(name) = self.known_reply_queue() {
            return Ok(name);
        }
        broker::opened(self.timer(), deadline, || self.open_reply_queue()).await
    }

    pub(super) fn known_reply_queue(&self) -> Option<Arc<str>> {
        self.shared.reply_queue.read().map(|name| name.clone()).unwrap_or_default()
    }

    async fn open_reply_queue(&self) -> Result<Arc<str>, Error> {
        let shared = &self.shared;
        let mut replies = shared.replies.lock().await;
        if let Some(name) = self.known_reply_queue() {
            return Ok(name);
        }
        let id = shared.reply_id.get_or_try_init(|| self.queue_id()).await?;
        let subscriptions = self.reply_subscriptions(id);
        let reads_pika = self.sending() != SendingDialect::Kombu;
        let sink = |_: &Subscription| -> Box<dyn leveret_engine::DeliverySink> {
            let name = Arc::clone(&shared.reply_queue);
            Box::new(ReplySink::new(&shared.book, reads_pika, move |error| {
                if let Some(error) = error {
                    tracing::error!(
                        name: "leveret.replies.consumer_lost",
                        %error, "no reply can be received; the next call tries again"
                    );
                }
                if let Ok(mut name) = name.write() {
                    *name = None;
                }
            }))
        };
        let (connections, purpose) = (&shared.connections, Purpose::Replies);
        let listening = Listening::open(connections, purpose, 0, &subscriptions, sink).await?;
        let bindings = subscriptions.iter().filter_map(|one| one.binding.as_ref());
        let heard = bindings.map(|(exchange, _)| exchange.name.clone()).collect();
        *replies = Some(Replies { listening, heard });
        let name: Arc<str> = subscriptions[0].queue.name.as_str().into();
        if let Ok(mut known) = shared.reply_queue.write() {
            *known = Some(Arc::clone(&name));
        }
        Ok(name)
    }

    /// The queue of replies with its bindings. One queue hears servers of both dialects: those of
    /// `rabbit` through the default exchange, those of `pika` through theirs.
    fn reply_subscriptions(&self, id: &str) -> Vec<Subscription> {
        let shared = &self.shared;
        match self.sending() {
            SendingDialect::Kombu => vec![shared.topology.replies(id)],
            SendingDialect::Pika => vec![shared.pika.replies(&broker::program(), id)],
            SendingDialect::Auto => {
                let plain = shared.topology.replies(id);
                let (queue, key) = (plain.queue.clone(), plain.queue.name.clone());
                let binding = Some((shared.pika.reply_exchange(), key));
                vec![plain, Subscription { queue, binding }]
            }
        }
    }

    /// Makes sure that replies of the servers of `target` are heard, which reply through the
    /// exchange of their own configuration.
    pub(crate) async fn hear_servers_of(&self, target: &Target) -> Result<(), Error> {
        if self.sending() == SendingDialect::Kombu || target.exchange().is_none() {
            return Ok(());
        }
        let Some(queue) = self.known_reply_queue() else { return Ok(()) };
        let mut replies = self.shared.replies.lock().await;
        let Some(Replies { listening, heard }) = &mut *replies else { return Ok(()) };
        for exchange in self.shared.pika.reply_exchanges(target) {
            if !heard.contains(&exchange.name) {
                listening.bind(&queue, &exchange).await?;
                heard.insert(exchange.name);
            }
        }
        Ok(())
    }
}
