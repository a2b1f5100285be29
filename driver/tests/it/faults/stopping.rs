//! Servers that stop while messages to them are in flight.

use leveret_support::Broker;
use serde_json::json;
use tokio::task::block_in_place;

use crate::support::fixture::{Notes, client, connect, eventually, run, server};

/// Number of stops, and of casts sent right before each.
const ROUNDS: usize = 50;
const CASTS: usize = 20;

/// A fanout queue is deleted with its server, so the server must first accept everything in it.
#[test]
fn a_fanout_confirmed_before_a_server_stops_is_executed() {
    let url = Broker::shared().vhost("stopping");
    run(async {
        let transport = connect(&url).await;
        let client = client(&transport, "t");
        let all = client.prepare().with_fanout(true);
        let mut missing = Vec::new();
        for round in 0..ROUNDS {
            let notes = Notes::default();
            let server = server(&transport, "t", "s", &notes).await;
            for number in 0..CASTS {
                all.cast((), "note", &json!({ "arg": number })).await.unwrap();
            }
            server.stop().await.unwrap();
            server.wait().await.unwrap();
            let executed = notes.all().len();
            if executed < CASTS {
                missing.push((round, CASTS - executed));
            }
        }
        assert!(missing.is_empty(), "confirmed, but not executed (round, casts): {missing:?}");
        transport.close().await.unwrap();
    });
}

/// The same with two servers, one of which stays: each executes everything that was confirmed while
/// it consumed.
#[test]
fn a_fanout_confirmed_before_one_of_two_servers_stops_is_executed_by_both() {
    let url = Broker::shared().vhost("one_of_two");
    run(async {
        let transport = connect(&url).await;
        let all = client(&transport, "t").with_fanout(true);
        let staying = Notes::default();
        let stays = server(&transport, "t", "stays", &staying).await;
        let mut missing = Vec::new();
        for round in 0..ROUNDS {
            let notes = Notes::default();
            let server = server(&transport, "t", "leaves", &notes).await;
            all.cast((), "note", &json!({ "arg": round })).await.unwrap();
            server.wait().await.unwrap();
            if notes.all().is_empty() {
                missing.push(round);
            }
        }
        assert!(
            missing.is_empty(),
            "confirmed, and not executed by the one that leaves: {missing:?}"
        );
        block_in_place(|| eventually(|| staying.all().len() == ROUNDS));
        stays.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}
