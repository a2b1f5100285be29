//! A server with two methods: `cargo run --example server -- rabbit://localhost/`.

use leveret::{Context, Endpoint, Failure, RpcServer, Target, Transport};
use serde::Deserialize;

#[derive(Deserialize)]
struct Add {
    value: i64,
    increment: i64,
}

fn main() -> Result<(), leveret::Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "rabbit://".into());
    let transport = Transport::connect_blocking(&url)?;
    let endpoint = Endpoint::new()
        .method("add", |_: Context, args: Add| {
            let sum = args.value.checked_add(args.increment);
            sum.ok_or_else(|| Failure::builtin("OverflowError", "too large"))
        })
        .async_method("whoami", |context: Context, (): ()| async move {
            Ok::<_, Failure>(context.get("user").cloned())
        });
    let target = Target::new("calculator").with_server("server1");
    let server = RpcServer::builder(&transport, target).endpoint(endpoint).start_blocking()?;
    eprintln!("serving; end the input to stop");
    std::io::stdin().lines().for_each(drop);
    server.wait_blocking()
}
