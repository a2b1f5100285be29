//! A server written as an `impl` block: `cargo run --example server_macro -- rabbit://localhost/`.

use std::sync::atomic::{AtomicI64, Ordering};

use leveret::{Context, Failure, RpcServer, Target, Transport};

struct Calculator {
    total: AtomicI64,
}

#[leveret::endpoint]
impl Calculator {
    fn add(&self, _: &Context, value: i64, increment: i64) -> Result<i64, Failure> {
        let sum = value.checked_add(increment);
        let sum = sum.ok_or_else(|| Failure::builtin("OverflowError", "too large"))?;
        self.total.fetch_add(sum, Ordering::Relaxed);
        Ok(sum)
    }

    async fn whoami(&self, context: &Context) -> Result<Option<String>, Failure> {
        Ok(context.get("user").and_then(|user| user.as_str()).map(str::to_owned))
    }

    fn total(&self, _: &Context) -> Result<i64, Failure> {
        Ok(self.total.load(Ordering::Relaxed))
    }
}

fn main() -> Result<(), leveret::Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "rabbit://".into());
    let transport = Transport::connect_blocking(&url)?;
    let target = Target::new("calculator").with_server("server1");
    let calculator = Calculator { total: AtomicI64::new(0) };
    let server = RpcServer::builder(&transport, target).endpoint(calculator).start_blocking()?;
    eprintln!("serving; end the input to stop");
    std::io::stdin().lines().for_each(drop);
    server.wait_blocking()
}
