//! Heartbeats in both directions, and silence without them.

use std::time::{Duration, Instant};

use leveret_engine::loopback::{Loopback, LoopbackConfig};
use leveret_engine::{ConnectionState, ErrorKind, Outcome};

use crate::support::peer::{Peer, peer};
use crate::support::setup::{
    WAIT, channel, config_of, engine, publish, queue, until, without_recovery,
};

/// Starts a broker that offers heartbeats of one second.
pub(crate) fn loopback_with_heartbeats() -> Loopback {
    Loopback::start(LoopbackConfig { heartbeat: 1, ..LoopbackConfig::default() }).unwrap()
}

#[test]
fn a_silent_peer_is_noticed_after_two_intervals() {
    let peer = loopback_with_heartbeats();
    let connection = engine().connect_blocking(without_recovery(config_of(&peer))).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    let confirm = {
        peer.script(|script| script.silent_after_frames = Some(0));
        publish(&channel, "q", "into the void")
    };
    let begun = Instant::now();
    let Outcome::MaybeSent(error) = confirm.wait() else { panic!("the broker confirms nothing") };
    assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
    assert!(error.to_string().contains("heartbeat"), "{error}");
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(1) && waited < Duration::from_secs(4), "{waited:?}");
    until("it is closed", || connection.state() == ConnectionState::Closed);
}

#[test]
fn heartbeats_keep_an_idle_connection_alive() {
    let peer = loopback_with_heartbeats();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(3500) {
        assert_eq!(connection.state(), ConnectionState::Open);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!((connection.reconnects(), peer.stats().connections), (0, 1));
}

#[test]
fn without_heartbeats_silence_does_not_end_a_connection() {
    let (told, heard) = std::sync::mpsc::channel();
    let config = peer(move |peer: &mut Peer| {
        peer.open_connection();
        let _ = told.send(());
        peer.wait_for_end();
    });
    let mut config = without_recovery(config);
    config.heartbeat = Duration::ZERO;
    let connection = engine().connect_blocking(config).unwrap();
    heard.recv_timeout(WAIT).unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(connection.state(), ConnectionState::Open);
}

#[test]
fn any_byte_sent_counts_as_a_heartbeat() {
    let peer = loopback_with_heartbeats();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    let before = peer.stats().frames_in;
    let begun = Instant::now();
    let mut published = 0;
    while begun.elapsed() < Duration::from_millis(2200) {
        drop(publish(&channel, "q", "x").wait());
        published += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    let frames = peer.stats().frames_in - before;
    assert_eq!(frames, published, "publications alone kept it alive");
}
