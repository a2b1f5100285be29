//! A tokio service of several threads that answers over TCP by RPC, and serves that RPC as well:
//!
//! ```text
//! cargo run --example tokio_service -- rabbit://localhost/ 127.0.0.1:7070 0,1
//! printf 'sum 1 2 3\n' | nc -N 127.0.0.1 7070
//! ```
//!
//! Start it as often as you like: all of them share the sums. The service itself is in `service`,
//! its protocol in `lines`.

mod lines;
mod service;

use service::Service;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "rabbit://".into());
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:7070".into());
    let cores = arguments.next().unwrap_or_else(|| "0".into());
    let cores: Vec<usize> = cores.split(',').map(str::parse).collect::<Result<_, _>>()?;

    let name = format!("sums{}", std::process::id());
    let service = Service::start(&url, &name, &listen, cores).await?;
    eprintln!("serving {}; end the input to stop", service.address());
    tokio::task::spawn_blocking(|| std::io::stdin().lines().for_each(drop)).await?;
    eprintln!("added {} times", service.added());
    service.stop().await
}
