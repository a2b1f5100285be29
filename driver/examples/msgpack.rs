//! Requests in msgpack, which the `pika` dialect knows beside JSON: `cargo run --example msgpack`,
//! on a broker inside the process. The answer comes as the request went.

use leveret::{
    Context, DriverConfig, Endpoint, Error, Failure, RpcClient, RpcServer, SendingDialect,
    Serialization, ServingDialect, Target, Transport,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Scale {
    samples: Vec<f64>,
    factor: f64,
}

fn main() -> Result<(), Error> {
    let config = DriverConfig::default()
        .with_serving(ServingDialect::Pika)
        .with_sending(SendingDialect::Pika);
    let transport = Transport::builder("fake:///msgpack").config(config).connect_blocking()?;
    let endpoint = Endpoint::new().method("scale", |_: Context, Scale { samples, factor }| {
        Ok::<_, Failure>(samples.into_iter().map(|sample| sample * factor).collect::<Vec<_>>())
    });
    let target = Target::new("signals").with_server("server1");
    let server = RpcServer::builder(&transport, target).endpoint(endpoint).start_blocking()?;
    let client = RpcClient::new(&transport, Target::new("signals"));
    let packed = client.with_serialization(Serialization::MsgPack);
    let request = Scale { samples: vec![0.5, f64::INFINITY], factor: 2.0 };
    let scaled: Vec<f64> = packed.call_blocking((), "scale", &request)?;
    eprintln!("{scaled:?}"); // JSON has no word for infinity
    server.wait_blocking()?;
    transport.close_blocking()
}
