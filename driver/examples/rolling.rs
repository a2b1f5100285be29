//! A server that moves from one dialect to the other, and a client that finds it on either side:
//! `cargo run --example rolling`, on a broker inside the process.

use leveret::{
    Context, DriverConfig, Endpoint, Error, Failure, RpcClient, RpcServer, SendingDialect,
    ServingDialect, Target, Transport,
};
use serde_json::json;

fn connect(config: DriverConfig) -> Result<Transport, Error> {
    Transport::builder("fake:///rolling").config(config).connect_blocking()
}

fn main() -> Result<(), Error> {
    let ours = connect(DriverConfig::default().with_sending(SendingDialect::Auto))?;
    let client = RpcClient::new(&ours, Target::new("library"));
    use ServingDialect::{Both, Kombu, Pika};
    for serving in [Both, Pika, Both, Kombu] {
        let theirs = connect(DriverConfig::default().with_serving(serving))?;
        let endpoint = Endpoint::new().method("lend", |_: Context, book: serde_json::Value| {
            Ok::<_, Failure>(format!("{} is yours", book["title"]))
        });
        let target = Target::new("library").with_server("desk");
        let server = RpcServer::builder(&theirs, target).endpoint(endpoint).start_blocking()?;
        let answer: String = client.call_blocking((), "lend", &json!({"title": "Emma"}))?;
        eprintln!("{serving:?}: {answer}");
        server.wait_blocking()?;
        theirs.close_blocking()?;
    }
    ours.close_blocking()
}
