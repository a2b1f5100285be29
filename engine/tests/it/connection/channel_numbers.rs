//! Channel numbers: reused once the broker has closed the channel, never above the negotiated
//! limit; running out fails one operation.

use std::sync::mpsc::channel as queue_of;
use std::time::{Duration, Instant};

use amq_protocol::protocol::{AMQPClass, channel};
use leveret_engine::loopback::{Loopback, LoopbackConfig};
use leveret_engine::{
    Channel, ChannelOptions, Connection, ConnectionState, Consume, Error, ErrorKind, Outcome,
    QueueDeclare, block_on,
};

use crate::support::peer::{Peer, frame, peer};
use crate::support::setup::{
    WAIT, channel as open, config, config_of, engine, loopback, publish, queue,
};

/// More channels than a connection has numbers.
const MANY: usize = 2100;

fn try_open(connection: &Connection) -> Result<Channel, Error> {
    block_on(connection.open_channel(ChannelOptions::default()))
}

/// Opens a channel as soon as a number is free, within `limit`.
fn open_within(connection: &Connection, limit: Duration) -> Result<Channel, Error> {
    let begun = Instant::now();
    loop {
        match try_open(connection) {
            Err(_) if begun.elapsed() < limit => std::thread::sleep(Duration::from_millis(5)),
            opened => return opened,
        }
    }
}

fn assert_works(connection: &Connection, channel: &Channel) {
    assert!(matches!(publish(channel, "q", "x").wait(), Outcome::Confirmed));
    assert_eq!((connection.state(), connection.reconnects()), (ConnectionState::Open, 0));
}

#[test]
fn channel_numbers_are_reused_without_limit() {
    let peer = loopback();
    for (mut config, times) in [(config_of(&peer), MANY), (config("numbers"), MANY / 10)] {
        config.channel_max = 64;
        let connection = engine().connect_blocking(config).unwrap();
        let stays = open(&connection);
        queue(&stays, "q");
        for time in 0..times {
            let channel = try_open(&connection).unwrap_or_else(|error| panic!("{time}: {error}"));
            assert!(channel.number() != stays.number() && channel.number() <= 64);
            block_on(channel.close()).unwrap();
        }
        assert_works(&connection, &stays);
    }
}

/// The caller does not wait for the close; the number is still freed.
#[test]
fn closing_a_channel_in_background_frees_its_number() {
    let peer = loopback();
    let mut config = config_of(&peer);
    config.channel_max = 8;
    let connection = engine().connect_blocking(config).unwrap();
    let stays = open(&connection);
    queue(&stays, "q");
    for time in 0..100 {
        let channel = open_within(&connection, Duration::from_secs(2));
        channel.unwrap_or_else(|error| panic!("{time}: {error}")).close_in_background();
    }
    assert_works(&connection, &stays);
}

/// Its number belongs to another channel by then.
#[test]
fn the_handles_of_a_closed_channel_touch_no_other() {
    let peer = loopback();
    let mut config = config_of(&peer);
    config.channel_max = 2;
    let connection = engine().connect_blocking(config).unwrap();
    let first = open(&connection);
    queue(&first, "q");
    let consume = || Consume { consumer_tag: "tag".to_owned(), ..Consume::from_queue("q") };
    let old = block_on(first.consume(consume())).unwrap();
    block_on(first.close()).unwrap();

    let others = [0; 2].map(|_| open_within(&connection, WAIT).unwrap());
    let other = others.iter().find(|other| other.number() == first.number()).unwrap();
    let mut consumer = block_on(other.consume(consume())).unwrap();

    let never = || QueueDeclare { name: "never".to_owned(), ..QueueDeclare::default() };
    let closed = |error: Error| assert_eq!(error.kind(), ErrorKind::ChannelClosed, "{error}");
    closed(block_on(first.declare_queue(never())).unwrap_err());
    closed(block_on(first.set_prefetch(1)).unwrap_err());
    closed(block_on(first.consume(Consume::from_queue("q"))).map(drop).unwrap_err());
    closed(block_on(old.handle().cancel()).unwrap_err());
    old.handle().verify();
    drop(old);
    block_on(first.close()).unwrap();
    first.close_in_background();

    for other in &others {
        assert_works(&connection, other);
    }
    assert!(consumer.handle().status().is_consuming());
    for _ in &others {
        consumer.next_within(WAIT).unwrap().unwrap().ack();
    }
}

#[test]
fn the_channel_limit_of_the_broker_is_respected() {
    let config = LoopbackConfig { channel_max: 16, ..LoopbackConfig::default() };
    let peer = Loopback::start(config).unwrap();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let mut channels = vec![open(&connection)];
    queue(&channels[0], "q");
    let refused = loop {
        match try_open(&connection) {
            Ok(channel) => channels.push(channel),
            Err(error) => break error,
        }
        assert!(channels.len() <= 16, "the broker allows 16");
    };
    // The engine may use one channel itself.
    assert!((15..=16).contains(&channels.len()), "{} channels are open", channels.len());
    assert_eq!(refused.kind(), ErrorKind::ChannelClosed, "{refused}");
    for channel in &channels {
        assert_works(&connection, channel);
    }
    let closed = channels.pop().unwrap();
    block_on(closed.close()).unwrap();
    let next = open_within(&connection, Duration::from_secs(2)).unwrap();
    assert_works(&connection, &next);
    assert!(try_open(&connection).is_err(), "there are no more");
    assert_works(&connection, &channels[0]);
}

/// Channels keep their numbers after a reconnect, and numbers of closed channels are free after it.
#[test]
fn numbers_are_kept_over_a_reconnect() {
    let peer = loopback();
    let mut config = config_of(&peer);
    config.channel_max = 4;
    let connection = engine().connect_blocking(config).unwrap();
    let stays = open(&connection);
    for times in 1..=8 {
        let leaves = open_within(&connection, Duration::from_secs(2));
        let leaves = leaves.unwrap_or_else(|error| panic!("{times}: {error}"));
        peer.drop_connections();
        crate::support::setup::until("it has reconnected", || {
            connection.reconnects() == times && connection.state() == ConnectionState::Open
        });
        queue(&stays, "q");
        assert!(matches!(publish(&stays, "q", "x").wait(), Outcome::Confirmed));
        block_on(leaves.close()).unwrap();
    }
}

fn on_channel(number: u16, method: channel::AMQPMethod) -> Vec<u8> {
    frame(number, AMQPClass::Channel(method))
}

/// Acts as a broker with one channel number that is slow to close it; reports the order of events.
fn play_broker_slow_to_close(peer: &mut Peer, told: &std::sync::mpsc::Sender<&'static str>) {
    use channel::AMQPMethod as Method;
    while let Some((number, AMQPClass::Channel(method))) = peer.read_method() {
        match method {
            Method::Open(_) => {
                let _ = told.send("opened");
                peer.send(&on_channel(number, Method::OpenOk(channel::OpenOk {})));
            }
            Method::Close(_) => {
                let hasty = peer.read_method_within(Duration::from_millis(300));
                let _ = told.send(if hasty.is_some() { "used too early" } else { "closed" });
                peer.send(&on_channel(number, Method::CloseOk(channel::CloseOk {})));
            }
            _ => {}
        }
    }
}

#[test]
fn a_number_is_reused_only_after_the_broker_has_closed_it() {
    let (told, order) = queue_of();
    let mut config = peer(move |peer| {
        peer.open_connection();
        play_broker_slow_to_close(peer, &told);
    });
    config.channel_max = 1;
    let connection = engine().connect_blocking(config).unwrap();
    let plain = ChannelOptions::default().with_confirms(false);
    let first = block_on(connection.open_channel(plain)).unwrap();
    let closing = std::thread::spawn(move || block_on(first.close()));
    let begun = Instant::now();
    let second = loop {
        match block_on(connection.open_channel(plain)) {
            Err(error) => assert!(begun.elapsed() < WAIT / 4, "never: {error}"),
            Ok(channel) => break channel,
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    closing.join().unwrap().unwrap();
    assert_eq!(second.number(), 1);
    let order: Vec<_> = order.try_iter().collect();
    assert_eq!(order, ["opened", "closed", "opened"]);
    assert_eq!(connection.reconnects(), 0);
}
