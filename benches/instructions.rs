//! How many instructions do a cast, a call, a notification and a delivery take?
//!
//! Runs one of them a number of times, with everything of Leveret on the main thread: a hosted
//! shard on epoll. The broker of the loopback has threads of its own. `.ci/instructions` counts the
//! instructions of the main thread, for two numbers of times; the difference is the cost of one.
#![expect(clippy::print_stderr, reason = "a program")]

use std::process::ExitCode;
use std::time::Duration;

use leveret::{
    CallConfirms, Context, DriverConfig, Endpoint, Executor, Failure, Notifier, RequestAcks,
    RpcClient, RpcServer, Target, Transport,
};
use leveret_engine::{
    BackendChoice, ChannelOptions, ConnectionConfig, Consume, Engine, EngineConfig, Properties,
    QueueDeclare, Route, Shard, loopback,
};
use serde_json::{Value, json};

type Failed = Box<dyn std::error::Error>;

const TOPIC: &str = "instructions";
const TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of the text in every message.
const TEXT_BYTES: usize = 200;

fn text() -> String {
    String::from_utf8_lossy(&leveret_benches::body(TEXT_BYTES)).into_owned()
}

/// Where the messages go: no queue takes them, and the broker confirms them.
async fn casts(transport: &Transport, times: u64) -> Result<(), Failed> {
    let client = RpcClient::new(transport, Target::new(TOPIC)).with_timeout(TIMEOUT);
    let (context, args) = (Context::new(), json!({ "message": text() }));
    for _ in 0..times {
        client.cast(&context, "info", &args).await?;
    }
    Ok(())
}

async fn calls(transport: &Transport, times: u64) -> Result<(), Failed> {
    let endpoint = Endpoint::new()
        .method("info", |_: Context, args: Value| Ok::<_, Failure>(args["message"].clone()));
    let server = RpcServer::builder(transport, Target::new(TOPIC).with_server("one"));
    let server = server.endpoint(endpoint).executor(Executor::Inline).start().await?;
    let client = RpcClient::new(transport, Target::new(TOPIC)).with_timeout(TIMEOUT);
    let (context, args) = (Context::new(), json!({ "message": text() }));
    for _ in 0..times {
        let _: String = client.call(&context, "info", &args).await?;
    }
    server.stop().await?;
    Ok(())
}

async fn notifications(transport: &Transport, times: u64) -> Result<(), Failed> {
    let notifier = Notifier::builder(transport).topic(TOPIC).publisher_id("bench").build();
    let (context, payload) = (Context::new(), json!({ "message": text() }));
    for _ in 0..times {
        notifier.info(&context, "instructions.counted", &payload).await?;
    }
    Ok(())
}

/// The engine alone: publications into a queue, with confirms, and their deliveries.
async fn deliveries(
    engine: &Engine,
    broker: &loopback::Loopback,
    times: u64,
) -> Result<(), Failed> {
    let config = ConnectionConfig::to("127.0.0.1", broker.addr().port());
    let connection = engine.connect(config).await?;
    let channel = connection.open_channel(ChannelOptions::default()).await?;
    let queue = QueueDeclare { name: TOPIC.to_owned(), ..QueueDeclare::default() };
    channel.declare_queue(queue).await?;
    let mut consumer = channel.consume(Consume::from_queue(TOPIC)).await?;
    let route = Route { routing_key: TOPIC.to_owned(), ..Route::default() };
    let publisher = channel.publisher(route, &Properties::default())?;
    let body = leveret_benches::body(TEXT_BYTES);
    for _ in 0..times {
        let confirm = publisher.publish(&body, TIMEOUT).await?;
        let delivery = consumer.next().await?.ok_or("the consumer was ended")?;
        delivery.ack();
        if !confirm.await.is_ok() {
            return Err("the broker did not confirm".into());
        }
    }
    connection.close().await?;
    Ok(())
}

fn run(what: &str, times: u64) -> Result<(), Failed> {
    let broker = loopback::Loopback::start(loopback::LoopbackConfig::default())?;
    let url = format!("rabbit://guest:guest@127.0.0.1:{}/", broker.addr().port());
    let engine = EngineConfig::default().with_backend(BackendChoice::Epoll);
    Shard::run(engine, async |engine: Engine| {
        if what == "delivery" {
            return deliveries(&engine, &broker, times).await;
        }
        let config = match what {
            "call-together" => DriverConfig::default()
                .with_call_confirms(CallConfirms::Together)
                .with_request_acks(RequestAcks::Together),
            _ => DriverConfig::default(),
        };
        let transport = Transport::builder(&url).config(config).engine(&engine).connect().await?;
        match what {
            "cast" => casts(&transport, times).await?,
            "call" | "call-together" => calls(&transport, times).await?,
            "notification" => notifications(&transport, times).await?,
            other => return Err(format!("{other} is not counted").into()),
        }
        transport.close().await?;
        Ok(())
    })?
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [what, times] => times.parse().map_err(Failed::from).and_then(|times| run(what, times)),
        _ => Err("usage: instructions cast|call|call-together|notification|delivery TIMES".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
