//! What does one publication through the engine cost, from the caller to a peer that only counts?
//!
//! Time per message at full speed. Caller, shard and sink run in parallel, so this is the slowest
//! of the three; on a small machine it is their sum.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use leveret_benches::{PUBLISH_TIMEOUT, SIZES, SinkConnection, body};
use leveret_engine::BackendChoice;

fn publish(c: &mut Criterion) {
    for (name, backend) in [("auto", BackendChoice::Auto), ("epoll", BackendChoice::Epoll)] {
        let mut group = c.benchmark_group(format!("publish/{name}"));
        let peer = SinkConnection::start(backend);
        let publisher = peer.publisher(false);
        for size in SIZES {
            group.throughput(Throughput::Bytes(size as u64));
            let slice = body(size);
            group.bench_function(BenchmarkId::new("slice", size), |bench| {
                bench.iter(|| {
                    publisher.publish_blocking(&slice, PUBLISH_TIMEOUT).expect("room in time")
                });
            });
            let shared = Bytes::from(slice);
            group.bench_function(BenchmarkId::new("shared", size), |bench| {
                bench.iter(|| {
                    publisher.publish_blocking(&shared, PUBLISH_TIMEOUT).expect("room in time")
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, publish);
criterion_main!(benches);
