//! Replies that no server sent: a peer that may write to a reply queue, but has seen no call,
//! answers none and takes no memory.

use std::time::{Duration, Instant};

use leveret::{RpcClient, Target};
use serde_json::{Value, json};

use crate::peer::Peer;
use crate::{MIB, alloc, at_most};

const FORGED: u64 = 1_000_000;
/// The broker of this process holds so many at a time.
const BATCH: u64 = 1000;
const PATIENCE: Duration = Duration::from_secs(60);

/// A reply as a server writes it, to the `n`-th id of a forger.
fn forged(n: u64) -> String {
    // Neighbours differ in all digits.
    let id = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let ids = format!(r#"\"_msg_id\": \"{id:032x}\", \"_unique_id\": \"{id:032x}\""#);
    let reply = format!(r#"{{\"result\": 0, \"failure\": null, \"ending\": true, {ids}}}"#);
    format!(r#"{{"oslo.version": "2.0", "oslo.message": "{reply}"}}"#)
}

#[test]
fn a_million_forged_replies_answer_no_call_and_take_no_memory() {
    let peer = Peer::start();
    let client = RpcClient::new(&peer.transport, Target::new("t")).with_timeout(PATIENCE);
    client.call_blocking::<Value>((), "value", &json!({})).unwrap();
    let queue = peer.transport.health().replies.expect("a call has opened it").queue;
    let publisher = peer.publisher_to(queue);
    let late = || peer.transport.stats().replies_late;
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.call_blocking::<Value>((), "slow", &json!({})));
        let mut before = 0;
        for n in 1..=FORGED {
            drop(publisher.publish_blocking(forged(n).as_bytes(), PATIENCE).unwrap());
            if n % BATCH == 0 {
                let start = Instant::now();
                while late() < n {
                    assert!(start.elapsed() < PATIENCE, "{} of {n}", late());
                    std::thread::sleep(Duration::from_micros(100));
                }
            }
            if n == FORGED / 10 {
                before = alloc::now();
            }
        }
        at_most("replies", alloc::now().saturating_sub(before), MIB);
        assert_eq!(waiting.join().unwrap().unwrap(), "slow", "by its server");
    });
    assert_eq!(late(), FORGED);
    client.call_blocking::<Value>((), "value", &json!({})).unwrap();
}
