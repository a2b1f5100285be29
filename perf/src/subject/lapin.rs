//! The `lapin` crate, used as its own examples use it. Not here: its recovery, its delegates.

use std::collections::VecDeque;
use std::sync::Mutex;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, PublisherConfirm,
};

use super::tokio_client::{Style, TokioClient};
use crate::broker::address::BrokerAddress;
use crate::load::workers::Probe;
use crate::system::clock;
use crate::system::lock::lock;

/// A connection of `lapin`, with one channel.
pub(super) struct Lapin {
    connection: Connection,
    channel: Channel,
    style: Style,
    /// Confirms that are awaited later.
    unsettled: Mutex<VecDeque<PublisherConfirm>>,
}

/// Persistent messages survive a restart of the broker.
const PERSISTENT: u8 = 2;
/// Confirms in flight of publications that nobody waits for.
const UNSETTLED_MAX: usize = 1000;

impl Lapin {
    fn properties(&self) -> BasicProperties {
        match self.style {
            Style::Plain => BasicProperties::default(),
            Style::Kombu => BasicProperties::default().with_delivery_mode(PERSISTENT),
        }
    }

    /// Keeps a confirm, and awaits the oldest once there are many.
    async fn settle_later(&self, confirm: PublisherConfirm) -> Result<()> {
        if self.style == Style::Plain {
            return Ok(());
        }
        let oldest = {
            let mut unsettled = lock(&self.unsettled);
            unsettled.push_back(confirm);
            if unsettled.len() > UNSETTLED_MAX { unsettled.pop_front() } else { None }
        };
        let Some(confirm) = oldest else { return Ok(()) };
        if !confirm.await?.is_ack() {
            bail!("the broker refused a message");
        }
        Ok(())
    }
}

impl TokioClient for Lapin {
    const NAME: &'static str = "lapin";
    const KOMBU_NAME: &'static str = "lapin-kombu";
    type Destination = String;
    type Consumer = Consumer;
    type Delivery = Delivery;

    async fn open(address: &BrokerAddress, style: Style) -> Result<Self> {
        let url = address.amqp_url();
        let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        if style == Style::Kombu {
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
        }
        Ok(Self { connection, channel, style, unsettled: Mutex::default() })
    }

    async fn close(&self) -> Result<()> {
        Ok(self.connection.close(200, "done".into()).await?)
    }

    fn destination(queue: &str) -> String {
        queue.to_owned()
    }

    async fn publish(&self, to: &String, body: &[u8]) -> Result<()> {
        let properties = BasicProperties::default();
        let options = BasicPublishOptions::default();
        let to = to.as_str().into();
        self.channel.basic_publish("".into(), to, options, body, properties).await?;
        Ok(())
    }

    async fn publish_confirmed(
        &self,
        queue: &str,
        mandatory: bool,
        body: &[u8],
        window: usize,
        probe: &mut Probe,
    ) -> Result<()> {
        let channel = &self.channel;
        if self.style == Style::Plain {
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
        }
        // RabbitMQ confirms in order, so the oldest confirm is the next.
        let mut in_flight = VecDeque::with_capacity(window);
        while probe.running() {
            while in_flight.len() < window {
                let start = clock::now();
                let properties = self.properties();
                let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
                let confirm = channel
                    .basic_publish("".into(), queue.into(), options, body, properties)
                    .await?;
                in_flight.push_back((start, confirm));
            }
            if let Some((start, confirm)) = in_flight.pop_front() {
                let outcome = confirm.await?;
                probe.latency(start, clock::now());
                if outcome.is_ack() { probe.done(1) } else { probe.failed(1) }
            }
        }
        Ok(())
    }

    async fn request(
        &self,
        to: &String,
        reply_queue: &str,
        slot: usize,
        body: &[u8],
    ) -> Result<()> {
        let properties = self
            .properties()
            .with_reply_to(reply_queue.into())
            .with_correlation_id(slot.to_string().into());
        let options = BasicPublishOptions::default();
        let to = to.as_str().into();
        let confirm = self.channel.basic_publish("".into(), to, options, body, properties).await?;
        self.settle_later(confirm).await
    }

    async fn reply(&self, request: &Delivery) -> Result<()> {
        let asked = &request.properties;
        let reply_to = asked.reply_to().clone().context("a request without reply-to")?;
        let id = asked.correlation_id().clone().context("a request without an id")?;
        let properties = self.properties().with_correlation_id(id);
        let mandatory = self.style == Style::Kombu;
        let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
        let body = &request.data;
        let confirm =
            self.channel.basic_publish("".into(), reply_to, options, body, properties).await?;
        self.settle_later(confirm).await
    }

    async fn acknowledge(&self, delivery: &Delivery) -> Result<()> {
        delivery.ack(BasicAckOptions::default()).await?;
        Ok(())
    }

    async fn declare_exclusive(&self, queue: &str) -> Result<()> {
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
        Ok(())
    }

    async fn consume(&self, queue: &str) -> Result<Consumer> {
        let options = BasicConsumeOptions {
            no_ack: self.style == Style::Plain,
            ..BasicConsumeOptions::default()
        };
        let arguments = FieldTable::default();
        Ok(self.channel.basic_consume(queue.into(), "lapin".into(), options, arguments).await?)
    }

    async fn next(consumer: &mut Consumer) -> Result<Option<Delivery>> {
        Ok(consumer.next().await.transpose()?)
    }

    fn touch(delivery: Delivery) {
        std::hint::black_box(delivery.data.len());
    }

    fn slot(reply: &Delivery) -> Result<usize> {
        let id = reply.properties.correlation_id().as_ref().context("an answer to no request")?;
        Ok(id.as_str().parse()?)
    }
}
