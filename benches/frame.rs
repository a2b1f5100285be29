//! What does the hot codec cost, compared with amq-protocol on the same message?
//!
//! Written: publish, content header and body. Read: deliver, content header and body.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, WriteContext, gen_frame, parse_frame};
use amq_protocol::protocol::basic::{self, AMQPProperties};
use amq_protocol::protocol::{AMQPClass, basic::AMQPMethod};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use leveret_benches::{SIZES, body};
use leveret_engine::wire::{
    ContentHeader, Deliver, FrameKind, FrameView, HotMethod, Ids, Parsed, Properties, Publish,
    Template, write_body_frames,
};

const FRAME_MAX: u32 = 131_072;
const CHANNEL: u16 = 1;
const ROUTE: Publish<'_> = Publish {
    exchange: "openstack",
    routing_key: "compute.host-1",
    mandatory: true,
    immediate: false,
};

fn properties() -> Properties {
    Properties::new()
        .with_content_type("application/json")
        .with_content_encoding("utf-8")
        .with_delivery_mode(2)
        .with_priority(0)
}

fn oracle_properties() -> AMQPProperties {
    AMQPProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("utf-8".into())
        .with_delivery_mode(2)
        .with_priority(0)
}

/// Returns publish, header and body as amq-protocol's structures.
fn oracle_frames(payload: &[u8]) -> [AMQPFrame; 3] {
    let method = basic::Publish {
        exchange: ROUTE.exchange.into(),
        routing_key: ROUTE.routing_key.into(),
        mandatory: true,
        immediate: false,
    };
    let header = AMQPContentHeader {
        class_id: 60,
        body_size: payload.len() as u64,
        properties: oracle_properties(),
    };
    [
        AMQPFrame::Method(CHANNEL, AMQPClass::Basic(AMQPMethod::Publish(method))),
        AMQPFrame::Header(CHANNEL, header),
        AMQPFrame::Body(CHANNEL, payload.to_vec()),
    ]
}

fn write(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame/write");
    for size in SIZES {
        let payload = body(size);
        group.throughput(Throughput::Elements(1));
        let template = Template::new(CHANNEL, &ROUTE, &properties()).expect("short names");
        let mut out = Vec::with_capacity(size + 1024);
        group.bench_function(BenchmarkId::new("template", size), |bench| {
            bench.iter(|| {
                out.clear();
                let write = |out: &mut Vec<u8>| out.extend_from_slice(black_box(&payload));
                template.render_body(&Ids::default(), FRAME_MAX, &mut out, write)
            });
        });
        let values = properties();
        group.bench_function(BenchmarkId::new("anew", size), |bench| {
            bench.iter(|| {
                out.clear();
                let template = Template::new(CHANNEL, black_box(&ROUTE), &values);
                template.expect("short names").render(payload.len() as u64, &mut out);
                write_body_frames(&mut out, CHANNEL, black_box(&payload), FRAME_MAX);
            });
        });
        group.bench_function(BenchmarkId::new("amq-protocol", size), |bench| {
            bench.iter(|| {
                let mut bytes = std::mem::take(&mut out);
                bytes.clear();
                for frame in &oracle_frames(black_box(&payload)) {
                    let context = WriteContext::from(bytes);
                    bytes = gen_frame(frame)(context).expect("memory").into_inner().0;
                }
                out = bytes;
            });
        });
    }
    group.finish();
}

/// Returns a delivery as a broker sends it.
fn delivery(size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let method = Deliver {
        consumer_tag: "1",
        delivery_tag: 7,
        redelivered: false,
        exchange: ROUTE.exchange,
        routing_key: ROUTE.routing_key,
    };
    method.encode_frame(CHANNEL, &mut bytes);
    properties().encode_frame(CHANNEL, size as u64, &mut bytes);
    write_body_frames(&mut bytes, CHANNEL, &body(size), FRAME_MAX);
    bytes
}

fn read_ours(mut bytes: &[u8]) -> u64 {
    let mut sum = 0;
    while let Ok(Parsed::Complete { frame, used }) = FrameView::parse(bytes, FRAME_MAX) {
        bytes = &bytes[used..];
        sum += match frame.kind {
            FrameKind::Method => match HotMethod::parse(frame.payload) {
                Ok(Some(HotMethod::Deliver(deliver))) => deliver.delivery_tag,
                _ => 0,
            },
            FrameKind::Header => ContentHeader::parse(frame.payload).map_or(0, |h| h.body_size),
            _ => frame.payload.len() as u64,
        };
    }
    sum
}

fn read_oracle(mut bytes: &[u8]) -> u64 {
    let mut sum = 0;
    while let Ok((rest, frame)) = parse_frame(bytes) {
        bytes = rest;
        sum += match frame {
            AMQPFrame::Method(_, AMQPClass::Basic(AMQPMethod::Deliver(deliver))) => {
                deliver.delivery_tag
            }
            AMQPFrame::Header(_, header) => header.body_size,
            AMQPFrame::Body(_, body) => body.len() as u64,
            _ => 0,
        };
    }
    sum
}

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame/read");
    for size in SIZES {
        let bytes = delivery(size);
        assert_eq!(read_ours(&bytes), read_oracle(&bytes));
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("view", size), |bench| {
            bench.iter(|| read_ours(black_box(&bytes)));
        });
        group.bench_function(BenchmarkId::new("amq-protocol", size), |bench| {
            bench.iter(|| read_oracle(black_box(&bytes)));
        });
    }
    group.finish();
}

criterion_group!(benches, write, read);
criterion_main!(benches);
