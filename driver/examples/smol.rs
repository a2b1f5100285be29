//! The same futures on another runtime: `cargo run --example smol -- URL`.

use leveret::{Context, Endpoint, Failure, RpcClient, RpcServer, Target, Transport};

fn main() -> Result<(), leveret::Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "fake://".into());
    smol::block_on(async {
        let transport = Transport::connect(&url).await?;
        let endpoint = Endpoint::new()
            .method("greet", |_: Context, (): ()| Ok::<_, Failure>("hello from a hare"));
        let target = Target::new("smol").with_server("one");
        let server = RpcServer::builder(&transport, target).endpoint(endpoint).start().await?;

        let client = RpcClient::new(&transport, Target::new("smol"));
        let greeting: String = client.call((), "greet", &()).await?;
        eprintln!("{greeting}");
        server.wait().await?;
        transport.close().await
    })
}
