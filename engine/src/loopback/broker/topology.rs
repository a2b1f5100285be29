//! Exchange and queue methods: declare, bind, unbind, purge, delete, with RabbitMQ's refusals.

use amq_protocol::protocol::{AMQPClass, exchange, queue};

use crate::loopback::broker::exchange::{Exchange, ExchangeKind, ExchangeSettings};
use crate::loopback::broker::queue::{Argument, Arguments, Queue, QueueSettings, arguments};
use crate::loopback::broker::refusal::{Refusal, short};
use crate::loopback::broker::state::Broker;
use crate::loopback::config::{ConnectionId, QueueId};

impl Broker {
    pub(crate) fn handle_exchange(
        &mut self,
        id: ConnectionId,
        number: u16,
        method: exchange::AMQPMethod,
    ) -> Result<(), Refusal> {
        use exchange::AMQPMethod as Method;
        let (answer, nowait) = match method {
            Method::Declare(declare) => {
                self.declare_exchange(id, &declare)?;
                (Method::DeclareOk(exchange::DeclareOk {}), declare.nowait)
            }
            Method::Delete(delete) => {
                self.delete_exchange(id, &delete)?;
                (Method::DeleteOk(exchange::DeleteOk {}), delete.nowait)
            }
            Method::Bind(_) | Method::Unbind(_) => {
                return Err(Refusal::not_implemented("exchange to exchange bindings"));
            }
            _ => return Err(Refusal::new(503, "a client does not send this method")),
        };
        if !nowait {
            self.send(id, number, &AMQPClass::Exchange(answer));
        }
        Ok(())
    }

    fn declare_exchange(
        &mut self,
        id: ConnectionId,
        declare: &exchange::Declare,
    ) -> Result<(), Refusal> {
        let name = declare.exchange.as_str();
        self.check_script(name)?;
        let vhost = self.connection_mut(id).vhost;
        let vhost = &mut self.vhosts[vhost];
        if name.is_empty() {
            return Err(Refusal::new(403, "operation not permitted on the default exchange"));
        }
        let known = vhost.exchanges.get(name).map(|exchange| &exchange.settings);
        if declare.passive {
            return match known {
                Some(_) => Ok(()),
                None => Err(Refusal::not_found("exchange", name, &vhost.name)),
            };
        }
        let kind = declare.kind.as_str();
        let Some(kind) = ExchangeKind::from_name(kind) else {
            return Err(Refusal::new(503, format!("unknown exchange type '{kind}'")));
        };
        let settings = ExchangeSettings {
            kind,
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            arguments: arguments(&declare.arguments),
        };
        let Some(known) = known else {
            refuse_reserved("exchange", name)?;
            vhost.exchanges.insert(name.into(), Exchange::new(settings));
            return Ok(());
        };
        let subject = format!("exchange '{name}' in vhost '{}'", vhost.name);
        check_equal("type", &subject, settings.kind.name(), known.kind.name())?;
        check_equal("durable", &subject, settings.durable, known.durable)?;
        check_equal("auto_delete", &subject, settings.auto_delete, known.auto_delete)?;
        check_equal("internal", &subject, settings.internal, known.internal)?;
        check_same_arguments(&subject, &settings.arguments, &known.arguments)
    }

    fn delete_exchange(
        &mut self,
        id: ConnectionId,
        delete: &exchange::Delete,
    ) -> Result<(), Refusal> {
        let name = delete.exchange.as_str();
        refuse_reserved("exchange", name)?;
        let vhost = self.connection_mut(id).vhost;
        let vhost = &mut self.vhosts[vhost];
        let is_bound = vhost.exchanges.get(name).is_some_and(Exchange::is_bound);
        if delete.if_unused && is_bound {
            let text = format!("exchange '{name}' in vhost '{}' in use", vhost.name);
            return Err(Refusal::new(406, text));
        }
        // Since RabbitMQ 3.2, deleting a missing exchange succeeds.
        vhost.exchanges.remove(name);
        Ok(())
    }

    pub(crate) fn handle_queue(
        &mut self,
        id: ConnectionId,
        number: u16,
        method: queue::AMQPMethod,
    ) -> Result<(), Refusal> {
        use queue::AMQPMethod as Method;
        let (answer, nowait) = match method {
            Method::Declare(declare) => {
                let ok = self.declare_queue(id, number, &declare)?;
                let is_unanswered = self
                    .script
                    .unanswered_declares
                    .iter()
                    .any(|name| *name == declare.queue.as_str());
                (Method::DeclareOk(ok), declare.nowait || is_unanswered)
            }
            Method::Bind(bind) => {
                let queue = self.find_queue(id, number, bind.queue.as_str())?;
                let exchange = self.exchange_to_bind(id, bind.exchange.as_str())?;
                exchange.bind(queue, bind.routing_key.as_str());
                (Method::BindOk(queue::BindOk {}), bind.nowait)
            }
            Method::Unbind(unbind) => {
                self.unbind_queue(id, number, &unbind)?;
                (Method::UnbindOk(queue::UnbindOk {}), false)
            }
            Method::Purge(purge) => {
                let queue = self.find_queue(id, number, purge.queue.as_str())?;
                let purged = self.queue_mut(queue).map_or(0, Queue::purge);
                (Method::PurgeOk(queue::PurgeOk { message_count: count(purged) }), purge.nowait)
            }
            Method::Delete(delete) => {
                let message_count = self.handle_queue_delete(id, number, &delete)?;
                (Method::DeleteOk(queue::DeleteOk { message_count }), delete.nowait)
            }
            _ => return Err(Refusal::new(503, "a client does not send this method")),
        };
        if !nowait {
            self.send(id, number, &AMQPClass::Queue(answer));
        }
        Ok(())
    }

    fn declare_queue(
        &mut self,
        id: ConnectionId,
        number: u16,
        declare: &queue::Declare,
    ) -> Result<queue::DeclareOk, Refusal> {
        self.check_script(declare.queue.as_str())?;
        let vhost = self.connection_mut(id).vhost;
        let name = match declare.queue.as_str() {
            "" if declare.passive => self.last_queue(id, number)?,
            "" => format!("amq.gen-{:022}", self.next_unique_id()),
            name => name.to_owned(),
        };
        let known = self.vhosts[vhost].queues.get(&*name).copied();
        let queue = match known {
            Some(queue) => {
                self.check_owner(id, queue)?;
                if !declare.passive {
                    self.check_equivalent(queue, declare)?;
                }
                queue
            }
            None if declare.passive => {
                return Err(Refusal::not_found("queue", &name, &self.vhosts[vhost].name));
            }
            None => {
                if !declare.queue.as_str().is_empty() {
                    refuse_reserved("queue", &name)?;
                }
                self.create_queue(id, vhost, &name, declare)?
            }
        };
        let now = self.now;
        let found = self.queue_mut(queue).expect("it was found or created just now");
        found.touch(now);
        found.drop_expired(now);
        let ok = queue::DeclareOk {
            queue: short(&name),
            message_count: count(found.len()),
            consumer_count: count(found.consumers.len()),
        };
        let deadline = found.expires();
        self.record_deadline(deadline);
        if let Some(channel) = self.connection_mut(id).channel_mut(number) {
            channel.last_queue = name;
        }
        Ok(ok)
    }

    fn create_queue(
        &mut self,
        id: ConnectionId,
        vhost: usize,
        name: &str,
        declare: &queue::Declare,
    ) -> Result<QueueId, Refusal> {
        if self.config.refuse_transient_queues && !declare.durable && !declare.exclusive {
            let text = "Feature `transient_nonexcl_queues` is deprecated and its use is not \
                        permitted per configuration (deprecated_features.permit.\
                        transient_nonexcl_queues = false)";
            return Err(Refusal::new(541, text));
        }
        let settings = queue_settings(declare);
        let owner = declare.exclusive.then_some(id);
        let queue = self.queues.len();
        let created = Queue::new(queue, name, vhost, settings, owner, self.now)?;
        self.vhosts[vhost].queues.insert(created.name.clone(), queue);
        self.queues.push(Some(Box::new(created)));
        Ok(queue)
    }

    fn check_equivalent(
        &mut self,
        queue: QueueId,
        declare: &queue::Declare,
    ) -> Result<(), Refusal> {
        let queue = self.queues[queue].as_deref().expect("its name was found");
        let subject =
            format!("queue '{}' in vhost '{}'", queue.name, self.vhosts[queue.vhost].name);
        let (received, current) = (queue_settings(declare), &queue.settings);
        check_equal("durable", &subject, received.durable, current.durable)?;
        check_equal("auto_delete", &subject, received.auto_delete, current.auto_delete)?;
        if declare.exclusive != queue.owner.is_some() {
            return Err(Refusal::locked(&queue.name, &self.vhosts[queue.vhost].name));
        }
        check_same_arguments(&subject, &received.arguments, &current.arguments)
    }

    /// Refuses an exclusive queue of another connection.
    fn check_owner(&mut self, id: ConnectionId, queue: QueueId) -> Result<(), Refusal> {
        let found = self.queues[queue].as_deref().expect("its name was found");
        if found.owner.is_some_and(|owner| owner != id) {
            return Err(Refusal::locked(&found.name, &self.vhosts[found.vhost].name));
        }
        Ok(())
    }

    fn last_queue(&mut self, id: ConnectionId, number: u16) -> Result<String, Refusal> {
        let channel = self.connection_mut(id).channel_mut(number);
        let name = channel.map(|channel| channel.last_queue.clone()).unwrap_or_default();
        if name.is_empty() {
            return Err(Refusal::new(404, "no previously declared queue"));
        }
        Ok(name)
    }

    /// Returns the queue that a method names; without a name, the one declared last on the channel.
    pub(crate) fn find_queue(
        &mut self,
        id: ConnectionId,
        number: u16,
        name: &str,
    ) -> Result<QueueId, Refusal> {
        let last;
        let name = if name.is_empty() {
            last = self.last_queue(id, number)?;
            &last
        } else {
            name
        };
        let vhost = self.connection_mut(id).vhost;
        let vhost = &self.vhosts[vhost];
        let Some(&queue) = vhost.queues.get(name) else {
            return Err(Refusal::not_found("queue", name, &vhost.name));
        };
        self.check_owner(id, queue)?;
        Ok(queue)
    }

    fn exchange_to_bind(&mut self, id: ConnectionId, name: &str) -> Result<&mut Exchange, Refusal> {
        let vhost = self.connection_mut(id).vhost;
        let vhost = &mut self.vhosts[vhost];
        if name.is_empty() {
            return Err(Refusal::new(403, "operation not permitted on the default exchange"));
        }
        let missing = Refusal::not_found("exchange", name, &vhost.name);
        vhost.exchanges.get_mut(name).ok_or(missing)
    }

    fn unbind_queue(
        &mut self,
        id: ConnectionId,
        number: u16,
        unbind: &queue::Unbind,
    ) -> Result<(), Refusal> {
        let name = unbind.exchange.as_str();
        let found = self.find_queue(id, number, unbind.queue.as_str());
        let found = found.and_then(|queue| Ok((queue, self.exchange_to_bind(id, name)?)));
        let Some((queue, exchange)) = ignore_missing(found)? else { return Ok(()) };
        let was_bound = exchange.unbind(queue, unbind.routing_key.as_str());
        if was_bound && exchange.settings.auto_delete && !exchange.is_bound() {
            let vhost = self.connection_mut(id).vhost;
            self.vhosts[vhost].exchanges.remove(name);
        }
        Ok(())
    }

    fn handle_queue_delete(
        &mut self,
        id: ConnectionId,
        number: u16,
        delete: &queue::Delete,
    ) -> Result<u32, Refusal> {
        let queue = self.find_queue(id, number, delete.queue.as_str());
        let Some(queue) = ignore_missing(queue)? else { return Ok(0) };
        let found = self.queues[queue].as_deref().expect("its name was found");
        let subject =
            format!("queue '{}' in vhost '{}'", found.name, self.vhosts[found.vhost].name);
        if delete.if_unused && !found.consumers.is_empty() {
            return Err(Refusal::new(406, format!("{subject} in use")));
        }
        if delete.if_empty && !found.is_empty() {
            return Err(Refusal::new(406, format!("{subject} is not empty")));
        }
        Ok(count(self.delete_queue(queue)))
    }

    /// Refuses a declaration if the script requires it.
    fn check_script(&self, name: &str) -> Result<(), Refusal> {
        let refused = self.script.refused_declares.iter().find(|refused| refused.name == name);
        match refused {
            None => Ok(()),
            Some(refused) => Err(Refusal { code: refused.code, text: refused.text.clone() }),
        }
    }
}

fn queue_settings(declare: &queue::Declare) -> QueueSettings {
    QueueSettings {
        durable: declare.durable,
        auto_delete: declare.auto_delete,
        arguments: arguments(&declare.arguments),
    }
}

/// Since RabbitMQ 3.2, unbinding or deleting something missing is no error.
fn ignore_missing<T>(found: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
    match found {
        Err(refusal) if refusal.code == 404 => Ok(None),
        found => found.map(Some),
    }
}

fn refuse_reserved(what: &str, name: &str) -> Result<(), Refusal> {
    if !name.starts_with("amq.") && !name.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(403, format!("{what} name '{name}' contains reserved prefix 'amq.*'")))
}

fn check_equal<T: PartialEq + std::fmt::Display>(
    argument: &str,
    subject: &str,
    received: T,
    current: T,
) -> Result<(), Refusal> {
    if received == current {
        return Ok(());
    }
    let text = format!(
        "inequivalent arg '{argument}' for {subject}: \
         received '{received}' but current is '{current}'"
    );
    Err(Refusal::new(406, text))
}

fn check_same_arguments(
    subject: &str,
    received: &Arguments,
    current: &Arguments,
) -> Result<(), Refusal> {
    let text = |value: Option<&Argument>| value.map_or("none".to_owned(), ToString::to_string);
    for key in received.keys().chain(current.keys()) {
        let (received, current) = (received.get(key), current.get(key));
        if received != current {
            let text = format!(
                "inequivalent arg '{key}' for {subject}: received {} but current is {}",
                text(received),
                text(current),
            );
            return Err(Refusal::new(406, text));
        }
    }
    Ok(())
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
