//! A server and its callers on a tokio of several threads: `cargo run --example tokio_tasks URL`.

use std::time::Duration;

use leveret::{Context, Endpoint, Executor, Failure, RpcClient, RpcServer, Target, Transport};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), leveret::Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "fake://".into());
    let transport = Transport::connect(&url).await?;
    let endpoint = Endpoint::new().async_method("nap", |_: Context, (): ()| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok::<_, Failure>("rested")
    });
    let server = RpcServer::builder(&transport, Target::new("naps").with_server("one"))
        .endpoint(endpoint)
        .executor(Executor::Runtime(Handle::current()))
        .start()
        .await?;

    let client = RpcClient::new(&transport, Target::new("naps"));
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let client = client.clone();
        calls.spawn(async move { client.call::<String>((), "nap", &()).await });
    }
    let answers: Result<Vec<String>, _> = calls.join_all().await.into_iter().collect();
    eprintln!("{} are rested", answers?.len());
    server.wait().await?;
    transport.close().await
}
