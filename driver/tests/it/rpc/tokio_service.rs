//! The tokio service example under load: two services share a broker and their sums, and several
//! hundred connections at once get every answer right.

#[path = "../../../examples/tokio_service/lines.rs"]
mod lines;
#[path = "../../../examples/tokio_service/service.rs"]
mod service;

use std::net::SocketAddr;

use leveret_support::Broker;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::fixture::run;
use service::Service;

/// Connections to both services together.
const PEERS: i64 = 300;
/// Sums each peer requests, one after the other.
const SUMS: i64 = 10;

#[test]
fn the_tokio_service_answers_hundreds_at_once() {
    let url = Broker::shared().vhost("tokio_service");
    run(async {
        let mut services = Vec::new();
        for name in ["one", "two"] {
            let started = Service::start(&url, name, "127.0.0.1:0", allowed_cores()).await;
            services.push(started.unwrap());
        }
        let mut peers = JoinSet::new();
        for peer in 0..PEERS {
            let service = &services[peer as usize % services.len()];
            peers.spawn(ask(service.address(), peer));
        }
        while let Some(answered) = peers.join_next().await {
            answered.unwrap();
        }
        let added: Vec<u64> = services.iter().map(Service::added).collect();
        // Each peer's sums, and one sum that is too large.
        assert_eq!(added.iter().sum::<u64>(), (PEERS * (SUMS + 1)) as u64);
        assert!(added.iter().all(|&added| added > 0), "both have served: {added:?}");
        for service in services {
            service.stop().await.unwrap();
        }
    });
}

/// One peer: requests sums and checks every answer.
async fn ask(address: SocketAddr, peer: i64) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (reader, mut writer) = stream.split();
    let mut answers = BufReader::new(reader).lines();
    let mut exchange = async |line: String| {
        writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        answers.next_line().await.unwrap().unwrap()
    };
    for number in 0..SUMS {
        let answer = exchange(format!("sum {peer} {number} -1000000")).await;
        assert_eq!(answer, (peer + number - 1_000_000).to_string());
    }
    let answer = exchange(format!("sum {} 1", i64::MAX)).await;
    assert_eq!(answer, "error: the sum is too large");
    assert_eq!(exchange("sum a".into()).await, "error: not a number");
    assert_eq!(exchange("hello".into()).await, "error: only sums are made here");
}

/// Returns the cores this process may use, at most two.
fn allowed_cores() -> Vec<usize> {
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).take(2).collect()
}
