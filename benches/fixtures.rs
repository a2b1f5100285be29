//! Shared by the benches: the allocator, sample messages of the sizes of the perf suite, and an
//! engine that publishes into a sink.

use std::time::Duration;

use leveret_engine::loopback::Sink;
use leveret_engine::{
    BackendChoice, Channel, ChannelOptions, Connection, ConnectionConfig, Engine, EngineConfig,
    Properties, Publisher, Route, block_on,
};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Body sizes: a small cast, a typical control-plane message, 64 KiB.
pub const SIZES: [usize; 3] = [200, 3_200, 65_536];

/// How long a publication may wait for room.
pub const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns a body of lower-case letters, the same every time.
#[must_use]
pub fn body(bytes: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(bytes).collect()
}

/// A connection to a peer that only counts.
pub struct SinkConnection {
    /// The peer that receives the publications.
    pub sink: Sink,
    /// The engine that sends them.
    pub engine: Engine,
    connection: Connection,
}

impl SinkConnection {
    /// Starts sink and engine and connects them.
    ///
    /// # Panics
    /// If the machine has no free port or lacks the backend.
    #[must_use]
    pub fn start(backend: BackendChoice) -> Self {
        let sink = Sink::start().expect("a free port");
        let config = EngineConfig::default().with_backend(backend);
        let engine = Engine::start(config).expect("the backend is there");
        let to = ConnectionConfig::to(sink.addr().ip().to_string(), sink.addr().port());
        let connection = engine.connect_blocking(to).expect("the sink listens");
        Self { sink, engine, connection }
    }

    /// Creates a publisher on a channel of its own.
    ///
    /// # Panics
    /// If the sink has stopped.
    #[must_use]
    pub fn publisher(&self, confirms: bool) -> Publisher {
        let options = ChannelOptions::default().with_confirms(confirms);
        let channel: Channel =
            block_on(self.connection.open_channel(options)).expect("the sink agrees");
        let route = Route { routing_key: "sink".to_owned(), ..Route::default() };
        channel.publisher(route, &Properties::default()).expect("a short name")
    }
}
