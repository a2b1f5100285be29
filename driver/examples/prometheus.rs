//! Serves metrics where Prometheus scrapes them: `http://localhost:9464/metrics`. One request at a
//! time and without a word of HTTP beyond what a scrape needs.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use leveret::{PROMETHEUS_CONTENT_TYPE, Transport};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "fake://".into());
    let transport = Transport::connect_blocking(&url)?;
    let listener = TcpListener::bind(("127.0.0.1", 9464))?;
    for stream in listener.incoming() {
        if let Err(error) = answer(stream?, &transport) {
            eprintln!("a scrape failed: {error}");
        }
    }
    Ok(())
}

fn answer(mut stream: TcpStream, transport: &Transport) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let body = transport.metrics().render_prometheus();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {PROMETHEUS_CONTENT_TYPE}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
