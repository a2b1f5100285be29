//! A channel that the broker closes with an exception is opened again.

use leveret_engine::{
    ConnectionState, Consume, ErrorKind, Outcome, Properties, QueueDeclare, Route, block_on,
};

use crate::recovery::scenario::publish_until_consumed;
use crate::support::setup::{WAIT, channel, config, config_of, engine, loopback, queue, to};

#[test]
fn a_channel_exception_is_reported_and_the_channel_opens_again() {
    let peer = loopback();
    for to_broker in [config_of(&peer), config("recovery-channel")] {
        let connection = engine().connect_blocking(to_broker).unwrap();
        let channel = channel(&connection);
        queue(&channel, "q");
        let mut consumer = block_on(channel.consume(Consume::from_queue("q"))).unwrap();
        let nowhere = Route { exchange: "missing".into(), ..Route::default() };
        let nowhere = channel.publisher(nowhere, &Properties::default()).unwrap();
        let confirm = nowhere.publish_blocking("lost".as_bytes(), WAIT).unwrap();
        let Outcome::Refused(error, _) = confirm.wait() else { panic!("there is no exchange") };
        assert_eq!((error.kind(), error.reply_code()), (ErrorKind::ChannelClosed, Some(404)));
        publish_until_consumed(&channel, "q", &mut consumer);

        let durable = QueueDeclare { name: "q".into(), durable: true, ..QueueDeclare::default() };
        let error = block_on(channel.declare_queue(durable)).unwrap_err();
        assert_eq!((error.kind(), error.reply_code()), (ErrorKind::ChannelClosed, Some(406)));
        let passive =
            QueueDeclare { name: "none".into(), passive: true, ..QueueDeclare::default() };
        let error = block_on(channel.declare_queue(passive)).unwrap_err();
        assert_eq!(error.reply_code(), Some(404));
        queue(&channel, "another");
        publish_until_consumed(&channel, "q", &mut consumer);
        assert_eq!((connection.reconnects(), connection.state()), (0, ConnectionState::Open));
    }
}

#[test]
fn a_channel_may_end_in_the_middle_of_its_publications() {
    let peer = loopback();
    for to_broker in [config_of(&peer), config("recovery-middle")] {
        let connection = engine().connect_blocking(to_broker).unwrap();
        let channel = channel(&connection);
        queue(&channel, "q");
        let nowhere = Route { exchange: "missing".into(), ..Route::default() };
        let nowhere = channel.publisher(nowhere, &Properties::default()).unwrap();
        let good = channel.publisher(to("q"), &Properties::default()).unwrap();
        let body = vec![7; 8000];
        for _ in 0..20 {
            let mut confirms = vec![nowhere.publish_blocking(&body, WAIT).unwrap()];
            confirms.extend((0..400).map(|_| good.publish_blocking(&body, WAIT).unwrap()));
            for confirm in confirms {
                drop(confirm.wait());
            }
        }
        assert_eq!((connection.reconnects(), connection.state()), (0, ConnectionState::Open));
    }
}
