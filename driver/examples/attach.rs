//! A shard inside a tokio-uring service, on its thread: `cargo run --example attach -- URL`.

use leveret::engine::{EngineConfig, Shard};
use leveret::{Context, Endpoint, Executor, Failure, RpcClient, RpcServer, Target, Transport};

type Failed = Box<dyn std::error::Error>;

async fn serve(transport: &Transport) -> Result<(), leveret::Error> {
    let endpoint = Endpoint::new()
        .method("greet", |_: Context, (): ()| Ok::<_, Failure>("hello from the same thread"));
    let server = RpcServer::builder(transport, Target::new("attached").with_server("one"))
        .endpoint(endpoint)
        .executor(Executor::Inline)
        .start()
        .await?;
    let client = RpcClient::new(transport, Target::new("attached"));
    let greeting: String = client.call((), "greet", &()).await?;
    eprintln!("{greeting}");
    server.wait().await
}

fn main() -> Result<(), Failed> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "fake://".into());
    tokio_uring::start(async {
        let (engine, shard) = Shard::attach(EngineConfig::default())?;
        let shard = tokio_uring::spawn(shard);
        let transport = Transport::builder(&url).engine(&engine).connect().await?;
        serve(&transport).await?;
        transport.close().await?;
        engine.stop();
        Ok(shard.await??)
    })
}
