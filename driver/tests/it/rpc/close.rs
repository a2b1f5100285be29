//! Closing never blocks the thread that awaits it: other tasks of the same runtime continue,
//! however long a broker takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::engine::{ConnectionConfig, Engine, EngineConfig};
use leveret::{DriverConfig, Transport};

use crate::support::fixture::{Notes, server};

/// Runs a future on one thread, like a service with a current-thread runtime.
fn on_one_thread(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future);
}

/// A peer that stops answering on demand, and a task beside the one that closes.
struct Silent {
    peer: Arc<Loopback>,
    ticks: Arc<AtomicUsize>,
    has_released: Arc<AtomicBool>,
}

impl Silent {
    fn start() -> Self {
        let peer = Arc::new(Loopback::start(LoopbackConfig::default()).unwrap());
        Self { peer, ticks: Arc::default(), has_released: Arc::default() }
    }

    /// Silences the peer. When only its last connection is open and this thread has observed that,
    /// the peer closes it.
    fn fall_silent(&self) {
        self.peer.script(|script| script.silent_after_frames = Some(0));
        let Self { peer, ticks, has_released } = self;
        let (peer, ticks, has_released) =
            (Arc::clone(peer), Arc::clone(ticks), Arc::clone(has_released));
        tokio::task::spawn_local(async move {
            let mut ticks_since = 0;
            while peer.stats().connections > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
                ticks.fetch_add(1, Ordering::Relaxed);
                ticks_since += usize::from(peer.stats().connections == 1);
                if ticks_since == 5 {
                    has_released.store(true, Ordering::Relaxed);
                    peer.drop_connections();
                }
            }
        });
    }

    fn check(&self) {
        assert!(self.has_released.load(Ordering::Relaxed), "other tasks run to the end");
        assert!(self.ticks.load(Ordering::Relaxed) >= 5);
    }
}

#[test]
fn closing_a_transport_blocks_no_thread() {
    on_one_thread(async {
        let silent = Silent::start();
        let mut config = DriverConfig::default();
        config.connection.operation_timeout = Duration::from_millis(50);
        let url = format!("rabbit://guest:guest@127.0.0.1:{}/", silent.peer.addr().port());
        let transport = Transport::builder(&url).config(config).connect().await.unwrap();
        // The engine is not shared, so its end closes the connection.
        let server = server(&transport, "t", "s", &Notes::default()).await;
        silent.fall_silent();
        transport.close().await.unwrap_err();
        silent.check();
        drop(server);
    });
}

#[test]
fn shutting_an_engine_down_blocks_no_thread() {
    on_one_thread(async {
        let silent = Silent::start();
        let engine = Engine::start(EngineConfig::default()).unwrap();
        let config = ConnectionConfig::to("127.0.0.1", silent.peer.addr().port());
        let connection = engine.connect(config).await.unwrap();
        silent.fall_silent();
        engine.shutdown().await;
        silent.check();
        drop(connection);
    });
}

#[test]
fn dropping_a_transport_blocks_no_thread() {
    on_one_thread(async {
        let silent = Silent::start();
        let url = format!("rabbit://guest:guest@127.0.0.1:{}/", silent.peer.addr().port());
        let transport = Transport::connect(&url).await.unwrap();
        silent.fall_silent();
        drop(transport);
        assert_eq!(silent.peer.stats().connections, 1, "the drop does not wait for the close");
        while silent.peer.stats().connections > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        silent.check();
    });
}
