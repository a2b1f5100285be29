//! The exchanges, queues and bindings declared through a connection, in order, replayed after a
//! reconnect.
//!
//! Invariant: each intent is intent once, and nothing that was deleted or unbound through the
//! connection is replayed.

use amq_protocol::protocol::{AMQPClass, exchange, queue};

#[derive(Debug, Default)]
pub(crate) struct Topology {
    intents: Vec<(u16, AMQPClass)>,
}

impl Topology {
    /// Records a declaration or binding that the broker has accepted.
    pub(crate) fn remember(&mut self, channel: u16, method: AMQPClass) {
        let known = self.intents.iter_mut().find(|(_, intent)| *intent == method);
        match known {
            Some(intent) => intent.0 = channel,
            None => self.intents.push((channel, method)),
        }
    }

    /// Removes what a deletion or unbinding removes, before the request is sent, so that recovery
    /// does not declare it again meanwhile. Returns the removed intents, to be
    /// [restored](Self::restore) if the broker refuses.
    pub(crate) fn forget(&mut self, method: &AMQPClass) -> Vec<(u16, AMQPClass)> {
        let (removed, remaining) = std::mem::take(&mut self.intents)
            .into_iter()
            .partition(|(_, intent)| is_removed_by(intent, method));
        self.intents = remaining;
        removed
    }

    /// Records intents again whose removal the broker refused.
    pub(crate) fn restore(&mut self, intents: Vec<(u16, AMQPClass)>) {
        for (channel, method) in intents {
            self.remember(channel, method);
        }
    }

    /// Whether a method is still to be sent: a passive declaration always, another one while it is
    /// recorded.
    pub(crate) fn is_wanted(&self, method: &AMQPClass) -> bool {
        let is_question = match method {
            AMQPClass::Queue(queue::AMQPMethod::Declare(declare)) => declare.passive,
            AMQPClass::Exchange(exchange::AMQPMethod::Declare(declare)) => declare.passive,
            _ => false,
        };
        is_question || self.intents.iter().any(|(_, intent)| intent == method)
    }

    /// Removes an auto-delete queue whose last consumer has ended.
    pub(crate) fn forget_auto_delete(&mut self, name: &str) {
        use queue::AMQPMethod as Queue;
        let auto_delete = |(_, intent): &(u16, AMQPClass)| match intent {
            AMQPClass::Queue(Queue::Declare(intent)) => {
                intent.queue.as_str() == name && intent.auto_delete
            }
            _ => false,
        };
        if self.intents.iter().any(auto_delete) {
            self.intents.retain(|(_, intent)| match intent {
                AMQPClass::Queue(Queue::Declare(intent)) => intent.queue.as_str() != name,
                AMQPClass::Queue(Queue::Bind(intent)) => intent.queue.as_str() != name,
                _ => true,
            });
        }
    }

    /// All intents, in order.
    pub(crate) fn intents(&self) -> Vec<(u16, AMQPClass)> {
        self.intents.clone()
    }

    /// Whether an exchange was declared through this connection.
    pub(crate) fn has_exchange(&self, name: &str) -> bool {
        use exchange::AMQPMethod as Exchange;
        self.intents.iter().any(|(_, intent)| match intent {
            AMQPClass::Exchange(Exchange::Declare(intent)) => intent.exchange.as_str() == name,
            _ => false,
        })
    }

    /// The intents that restore an exchange: its declaration and its bindings.
    pub(crate) fn of_exchange(&self, name: &str) -> Vec<(u16, AMQPClass)> {
        use exchange::AMQPMethod as Exchange;
        use queue::AMQPMethod as Queue;
        let concerns = |method: &AMQPClass| match method {
            AMQPClass::Exchange(Exchange::Declare(intent)) => intent.exchange.as_str() == name,
            AMQPClass::Exchange(Exchange::Bind(intent)) => {
                intent.source.as_str() == name || intent.destination.as_str() == name
            }
            AMQPClass::Queue(Queue::Bind(intent)) => intent.exchange.as_str() == name,
            _ => false,
        };
        self.intents.iter().filter(|(_, method)| concerns(method)).cloned().collect()
    }

    /// The intents that restore a queue: all exchanges, its declaration and its bindings.
    pub(crate) fn of_queue(&self, name: &str) -> Vec<(u16, AMQPClass)> {
        use queue::AMQPMethod as Queue;
        let concerns = |method: &AMQPClass| match method {
            AMQPClass::Exchange(_) => true,
            AMQPClass::Queue(Queue::Declare(intent)) => intent.queue.as_str() == name,
            AMQPClass::Queue(Queue::Bind(intent)) => intent.queue.as_str() == name,
            _ => false,
        };
        self.intents.iter().filter(|(_, method)| concerns(method)).cloned().collect()
    }
}

/// Whether a deletion or unbinding removes a declaration or binding.
fn is_removed_by(intent: &AMQPClass, method: &AMQPClass) -> bool {
    use exchange::AMQPMethod as Exchange;
    use queue::AMQPMethod as Queue;
    match (method, intent) {
        (AMQPClass::Queue(Queue::Delete(removed)), AMQPClass::Queue(Queue::Declare(intent))) => {
            intent.queue == removed.queue
        }
        (AMQPClass::Queue(Queue::Delete(removed)), AMQPClass::Queue(Queue::Bind(intent))) => {
            intent.queue == removed.queue
        }
        (AMQPClass::Queue(Queue::Unbind(removed)), AMQPClass::Queue(Queue::Bind(intent))) => {
            (&intent.queue, &intent.exchange, &intent.routing_key, &intent.arguments)
                == (&removed.queue, &removed.exchange, &removed.routing_key, &removed.arguments)
        }
        (AMQPClass::Exchange(Exchange::Delete(removed)), intent) => match intent {
            AMQPClass::Exchange(Exchange::Declare(intent)) => intent.exchange == removed.exchange,
            AMQPClass::Exchange(Exchange::Bind(intent)) => {
                intent.source == removed.exchange || intent.destination == removed.exchange
            }
            AMQPClass::Queue(Queue::Bind(intent)) => intent.exchange == removed.exchange,
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use amq_protocol::types::FieldTable;

    use super::*;

    fn declare(name: &str) -> AMQPClass {
        AMQPClass::Queue(queue::AMQPMethod::Declare(queue::Declare {
            queue: name.into(),
            passive: false,
            durable: false,
            exclusive: false,
            auto_delete: false,
            nowait: false,
            arguments: FieldTable::default(),
        }))
    }

    fn bind(name: &str, key: &str) -> AMQPClass {
        AMQPClass::Queue(queue::AMQPMethod::Bind(queue::Bind {
            queue: name.into(),
            exchange: "ex".into(),
            routing_key: key.into(),
            nowait: false,
            arguments: FieldTable::default(),
        }))
    }

    #[test]
    fn an_intent_is_kept_once_and_deletion_takes_its_bindings_along() {
        let mut topology = Topology::default();
        topology.remember(1, declare("a"));
        topology.remember(1, bind("a", "k"));
        topology.remember(2, declare("b"));
        topology.remember(2, declare("a"));
        assert_eq!(topology.intents().len(), 3);
        assert_eq!(topology.intents()[0].0, 2, "declared again on another channel");
        assert_eq!(topology.of_queue("a"), [(2, declare("a")), (1, bind("a", "k"))]);
        let delete = AMQPClass::Queue(queue::AMQPMethod::Delete(queue::Delete {
            queue: "a".into(),
            if_unused: false,
            if_empty: false,
            nowait: false,
        }));
        let removed = topology.forget(&delete);
        assert_eq!(topology.intents(), [(2, declare("b"))]);
        assert!(topology.is_wanted(&declare("b")) && !topology.is_wanted(&declare("a")));
        topology.restore(removed);
        assert!(topology.is_wanted(&declare("a")) && topology.is_wanted(&bind("a", "k")));
    }

    #[test]
    fn unbinding_removes_one_binding() {
        let mut topology = Topology::default();
        topology.remember(1, bind("a", "k"));
        topology.remember(1, bind("a", "l"));
        topology.forget(&AMQPClass::Queue(queue::AMQPMethod::Unbind(queue::Unbind {
            queue: "a".into(),
            exchange: "ex".into(),
            routing_key: "k".into(),
            arguments: FieldTable::default(),
        })));
        assert_eq!(topology.intents(), [(1, bind("a", "l"))]);
    }
}
