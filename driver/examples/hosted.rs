//! A service whose threads are its shards: one serves, the other calls, and what they send and
//! receive changes no thread. `cargo run --example hosted -- service.toml`, where the file says
//! which cores:
//!
//! ```toml
//! [DEFAULT]
//! transport_url = "rabbit://guest:guest@127.0.0.1:5672/"
//! [leveret]
//! cores = "0,1"
//! ```

use std::time::Duration;

use leveret::engine::{Engine, EngineConfig, Shard};
use leveret::{
    Config, Context, Endpoint, Executor, Failure, RpcClient, RpcServer, Target, Transport,
};
use tokio::sync::oneshot;

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn connect(config: &Config, engine: &Engine) -> Result<Transport, leveret::Error> {
    let builder = Transport::builder(&config.transport_url()?).config(config.driver_config()?);
    builder.engine(engine).connect().await
}

/// Serves on this thread until `is_over` resolves.
fn serve(
    shard: EngineConfig,
    config: &Config,
    ready: oneshot::Sender<()>,
    is_over: oneshot::Receiver<()>,
) -> Result<(), Failed> {
    Shard::run(shard, async |engine: Engine| {
        let transport = connect(config, &engine).await?;
        let endpoint = Endpoint::new().async_method("nap", |_: Context, (): ()| async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok::<_, Failure>("rested")
        });
        let server = RpcServer::builder(&transport, Target::new("naps").with_server("one"))
            .endpoint(endpoint)
            .executor(Executor::Local)
            .start()
            .await?;
        // An error means that the other side has ended already, which `is_over` tells as well.
        let _ = ready.send(());
        let _ = is_over.await;
        server.wait().await?;
        transport.close().await?;
        Ok(())
    })?
}

/// Calls from this thread, 100 calls at a time.
fn call(shard: EngineConfig, config: &Config) -> Result<usize, Failed> {
    Shard::run(shard, async |engine: Engine| {
        let transport = connect(config, &engine).await?;
        let client = RpcClient::new(&transport, Target::new("naps"));
        let calls: Vec<_> = (0..100)
            .map(|_| {
                let client = client.clone();
                tokio::task::spawn_local(async move { client.call::<String>((), "nap", &()).await })
            })
            .collect();
        let mut rested = 0;
        for call in calls {
            call.await??;
            rested += 1;
        }
        transport.close().await?;
        Ok(rested)
    })?
}

fn main() -> Result<(), Failed> {
    let config = match std::env::args().nth(1) {
        Some(path) => Config::new().toml_file(path)?,
        None => Config::new()
            .set("DEFAULT", "transport_url", "fake:///hosted")
            .set("leveret", "shards", "2"),
    };
    let shards = config.engine_config()?.shards();
    let [first, second] = <[EngineConfig; 2]>::try_from(shards)
        .map_err(|shards| format!("this service has two shards, not {}", shards.len()))?;
    let (ready, is_ready) = oneshot::channel();
    let (over, is_over) = oneshot::channel();
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| serve(first, &config, ready, is_over));
        let rested = match is_ready.blocking_recv() {
            Ok(()) => call(second, &config),
            Err(_) => Err("the server did not start".into()),
        };
        drop(over);
        serving.join().map_err(|_| "the server panicked")??;
        eprintln!("{} are rested", rested?);
        Ok(())
    })
}
