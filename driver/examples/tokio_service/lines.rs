//! The protocol: a line in, a line out, in order, until the peer closes its half.
//!
//! `sum 1 2 3` is answered `6`; what is not understood, and what the RPC does not achieve, by
//! `error` and why. Invariant: a line above [`LINE_MAX`] bytes ends the connection, so a peer takes
//! no more memory than that. Not here: connections, RPC's other side.

use std::io;

use leveret::RpcClient;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Longest line taken.
const LINE_MAX: u64 = 4096;

/// Answers the lines of one peer.
pub(crate) async fn answer_lines(mut peer: TcpStream, client: &RpcClient) -> io::Result<()> {
    let (reader, mut writer) = peer.split();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    loop {
        line.clear();
        (&mut reader).take(LINE_MAX).read_line(&mut line).await?;
        if !line.ends_with('\n') {
            return Ok(());
        }
        let answer = answer(line.trim_end(), client).await;
        writer.write_all(format!("{answer}\n").as_bytes()).await?;
    }
}

async fn answer(line: &str, client: &RpcClient) -> String {
    let Some(numbers) = line.strip_prefix("sum ") else {
        return "error: only sums are made here".into();
    };
    let numbers: Result<Vec<i64>, _> = numbers.split_whitespace().map(str::parse).collect();
    let Ok(numbers) = numbers else {
        return "error: not a number".into();
    };
    match client.call::<i64>((), "sum", &json!({ "numbers": numbers })).await {
        Ok(sum) => sum.to_string(),
        Err(error) => match error.remote() {
            Some(remote) => format!("error: {}", remote.message()),
            None => format!("error: {error}"),
        },
    }
}
