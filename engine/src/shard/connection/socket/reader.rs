//! Reads a socket into receive blocks and handles what arrived.
//!
//! Invariants: one read is in flight, and it is never cancelled; nothing is read while a consumer
//! or the block pool has no room. Heartbeats go on then.

use std::rc::Rc;
use std::time::Duration;

use crate::buffer::BufferPool;
use crate::reactor::{self, Stream};
use crate::shard::connection::socket::writer;
use crate::shard::connection::state::Conn;
use crate::shard::stats::Stats;

/// How often a reader without a free block retries.
const POOL_RETRY: Duration = Duration::from_millis(1);

/// Reads until the socket is down, and hands what was read to the protocol state machine.
pub(crate) async fn read<S: Stream>(conn: Rc<Conn>, stream: Rc<S>, start_recovery: fn(&Rc<Conn>)) {
    let mut pool = BufferPool::new(conn.config.block_bytes, conn.config.blocks_max);
    while !conn.is_down() {
        wait_for_consumers(&conn).await;
        let Some(block) = next_block(&conn, &mut pool).await else { break };
        let (done, block) = stream.read(block).await;
        let filled = match done {
            Ok(0) => {
                conn.fail_socket("the broker closed the socket without connection.close");
                break;
            }
            Ok(filled) => filled,
            Err(error) => {
                conn.fail_operation("receiving", &error);
                break;
            }
        };
        if filled == block.len() {
            pool.grow();
        }
        Stats::count(&conn.stats.reads, 1);
        Stats::count(&conn.stats.bytes_in, filled as u64);
        let block = pool.share(block);
        let result = match conn.proto.borrow_mut().as_mut() {
            Some(proto) => {
                let now = reactor::now();
                proto.handle_input(&block, filled, now, &mut |event| conn.handle_event(event))
            }
            None => break,
        };
        conn.end_batch();
        pool.put_back(block);
        if let Err(error) = result {
            conn.log(|| {
                tracing::error!(
                    name: "leveret.engine.protocol.broken", %error, "the peer broke the protocol"
                );
            });
            conn.fail(error.into());
        }
        start_recovery(&conn);
        if writer::has_work(&conn) {
            conn.shared.write_bell.ring();
        }
    }
}

/// Stops reading while a consumer has no room. TCP then stops the broker.
async fn wait_for_consumers(conn: &Conn) {
    if !conn.is_full() {
        return;
    }
    Stats::count(&conn.stats.pauses, 1);
    set_reading(conn, false);
    let bell = &conn.shared.read_bell;
    std::future::poll_fn(|cx| bell.poll_sleep(cx, || !conn.is_full() || conn.is_down())).await;
    set_reading(conn, true);
}

async fn next_block(conn: &Conn, pool: &mut BufferPool) -> Option<Vec<u8>> {
    let mut paused = false;
    loop {
        let mid_body = conn.proto.borrow().as_ref()?.is_mid_body();
        if let Some(block) = pool.take(mid_body || conn.is_closing()) {
            if paused {
                set_reading(conn, true);
            }
            return Some(block);
        }
        if conn.is_down() {
            return None;
        }
        if !std::mem::replace(&mut paused, true) {
            Stats::count(&conn.stats.pauses, 1);
            set_reading(conn, false);
        }
        reactor::sleep(POOL_RETRY).await;
    }
}

fn set_reading(conn: &Conn, reading: bool) {
    conn.paused.set(!reading);
    if let Some(proto) = conn.proto.borrow_mut().as_mut() {
        proto.set_reading(reading, reactor::now());
    }
}
