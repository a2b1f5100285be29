//! What does one publish through the engine cost, from the caller to a peer that only counts?
//!
//! Time per message at full speed: caller, shard and sink work at once, so this is the slowest of
//! the three, on a small machine their sum.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use leveret_benches::{IntoSink, PATIENCE, SIZES, body};
use leveret_engine::BackendChoice;

fn publish(c: &mut Criterion) {
    for (name, backend) in [("auto", BackendChoice::Auto), ("epoll", BackendChoice::Epoll)] {
        let mut group = c.benchmark_group(format!("publish/{name}"));
        let peer = IntoSink::start(backend);
        let publisher = peer.publisher(false);
        for size in SIZES {
            group.throughput(Throughput::Bytes(size as u64));
            let slice = body(size);
            group.bench_function(BenchmarkId::new("slice", size), |bench| {
                bench.iter(|| publisher.publish_blocking(&slice, PATIENCE).expect("room in time"));
            });
            let shared = Bytes::from(slice);
            group.bench_function(BenchmarkId::new("shared", size), |bench| {
                bench.iter(|| publisher.publish_blocking(&shared, PATIENCE).expect("room in time"));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, publish);
criterion_main!(benches);
