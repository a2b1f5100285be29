//! What do the hops between threads cost: appending to an outbox that others also fill, and waking
//! a sleeping shard?
//!
//! `append` is the time per message of all producers together; each has its own handle of the same
//! channel. `wake` is one publication and its confirm with nothing else in flight: caller to shard
//! to peer and back, two threads woken.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use leveret_benches::{PUBLISH_TIMEOUT, SinkConnection, body};
use leveret_engine::BackendChoice;

const SMALL: usize = 200;

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("outbox/append");
    group.throughput(Throughput::Elements(1));
    let peer = SinkConnection::start(BackendChoice::Auto);
    let publisher = peer.publisher(false);
    let body = body(SMALL);
    for producers in [1_u64, 2, 4] {
        group.bench_function(BenchmarkId::from_parameter(producers), |bench| {
            bench.iter_custom(|messages| {
                let each = messages.div_ceil(producers);
                #[expect(clippy::disallowed_methods, reason = "a bench asks the clock")]
                let start = Instant::now();
                std::thread::scope(|scope| {
                    for _ in 0..producers {
                        let (publisher, body) = (publisher.clone(), &body);
                        scope.spawn(move || {
                            for _ in 0..each {
                                let sent = publisher.publish_blocking(body, PUBLISH_TIMEOUT);
                                drop(sent.expect("room in time"));
                            }
                        });
                    }
                });
                start.elapsed()
            });
        });
    }
    group.finish();
}

fn wake(c: &mut Criterion) {
    let mut group = c.benchmark_group("outbox/wake");
    for (name, backend) in [("auto", BackendChoice::Auto), ("epoll", BackendChoice::Epoll)] {
        let peer = SinkConnection::start(backend);
        let publisher = peer.publisher(true);
        let body = body(SMALL);
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let confirm =
                    publisher.publish_blocking(&body, PUBLISH_TIMEOUT).expect("room in time");
                assert!(confirm.wait().is_ok());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, append, wake);
criterion_main!(benches);
