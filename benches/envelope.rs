//! What does an oslo message cost over its bytes?
//!
//! `cast` renders the kombu envelope (JSON inside a JSON string) and publishes it into a peer that
//! only counts; `bytes` publishes a body of the same length; `serde_json` renders the envelope
//! through two plain JSON documents, without publishing it.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use leveret::{Context, RpcClient, Target, Transport};
use leveret_benches::{PUBLISH_TIMEOUT, SinkConnection, body};
use leveret_engine::BackendChoice;
use serde_json::json;

const METHOD: &str = "info";
/// A small cast and a typical one; both are copied into the outbox.
const SIZES: [usize; 2] = [200, 3_200];

/// Renders the same envelope through two JSON documents.
fn two_documents(arguments: &BTreeMap<&str, &str>) -> String {
    let message = json!({
        "method": METHOD,
        "args": arguments,
        "_unique_id": "0123456789abcdef0123456789abcdef",
    });
    json!({ "oslo.version": "2.0", "oslo.message": message.to_string() }).to_string()
}

fn envelope(c: &mut Criterion) {
    let mut group = c.benchmark_group("envelope");
    group.throughput(Throughput::Elements(1));
    let peer = SinkConnection::start(BackendChoice::Auto);
    let url = format!("rabbit://guest:guest@{}/", peer.sink.addr());
    let transport = Transport::builder(&url).engine(&peer.engine).connect_blocking();
    let transport = transport.expect("the sink listens");
    let client = RpcClient::new(&transport, Target::new("topic"));
    let (publisher, context) = (peer.publisher(false), Context::new());
    for size in SIZES {
        let text = String::from_utf8(body(size)).expect("letters");
        let arguments = BTreeMap::from([("message", text.as_str())]);
        group.bench_function(BenchmarkId::new("cast", size), |bench| {
            bench.iter(|| {
                let cast = client.cast_buffered_blocking(&context, METHOD, black_box(&arguments));
                cast.expect("room in time");
            });
        });
        let bytes = body(two_documents(&arguments).len());
        group.bench_function(BenchmarkId::new("bytes", size), |bench| {
            bench.iter(|| {
                publisher.publish_blocking(&bytes, PUBLISH_TIMEOUT).expect("room in time")
            });
        });
        group.bench_function(BenchmarkId::new("serde_json", size), |bench| {
            bench.iter(|| two_documents(black_box(&arguments)));
        });
    }
    group.finish();
}

criterion_group!(benches, envelope);
criterion_main!(benches);
