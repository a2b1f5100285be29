//! A small AMQP 0-9-1 broker inside the process, on a real socket.
//!
//! It serves three: programs' own tests, which need a broker and want none installed; the perf
//! suite, as a target that costs little; and this engine's tests, as a peer whose faults can be
//! scripted ([`Script`]). [`Sink`] and [`Source`] are two simpler peers that only count and only
//! send.
//!
//! What it has: PLAIN and AMQPLAIN; virtual hosts; direct, topic and fanout exchanges; queues with
//! `x-max-length` (drop-head), `x-expires`, `x-message-ttl`, per-message expiration, exclusive and
//! auto-delete; mandatory returns; publisher confirms; prefetch, acks, rejects, requeues, get;
//! consumers in turn; heartbeats; blocked connections; RabbitMQ's refusals with its codes.
//!
//! What it is not: it keeps nothing on disk (durable and persistent are only remembered as
//! settings), has no cluster, no TLS, no permissions, no transactions, no dead lettering, no
//! priorities, no headers exchange, no bindings between exchanges, no streams. A queue without
//! `x-max-length` grows as memory lasts. It shares the codec with the engine, so what the two
//! agree on is not proven by their agreement.
//!
//! # How it works
//!
//! One lock guards everything. Each connection has a reader thread, which takes the
//! lock once per batch of frames, and a writer thread, which only works when the socket is full.
//!
//! ```
//! use leveret_engine::loopback::{Loopback, LoopbackConfig};
//! let loopback = Loopback::start(LoopbackConfig::default()).unwrap();
//! println!("{}", loopback.url()); // amqp://guest:guest@127.0.0.1:…/%2f
//! loopback.stop();
//! ```

pub(crate) mod broker;
mod clock;
pub(crate) mod connection;
pub(crate) mod faults;
mod puppet;
mod sink;
mod source;

#[cfg(test)]
mod tests;

pub use faults::{RefusedDeclare, Script};
pub use sink::Sink;
pub use source::Source;

use broker::state::Broker;
use connection::outgoing::Outgoing;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// A connection's place in the broker's list.
type ConnectionId = usize;

/// A queue's place in the broker's list.
type QueueId = usize;

/// How a [`Loopback`] is to be.
#[derive(Clone)]
pub struct LoopbackConfig {
    /// The port on 127.0.0.1; 0, the default, takes a free one.
    pub port: u16,
    /// Virtual hosts beside `/`. Default: none.
    pub vhosts: Vec<String>,
    /// Users and their passwords. Default: guest, guest.
    pub users: Vec<(String, String)>,
    /// Whether passwords are checked. Default: true.
    pub check_login: bool,
    /// Largest frame offered, in bytes. Default: 131072, RabbitMQ's.
    pub frame_max: u32,
    /// Highest channel number offered; 0 is no bound. Default: 2047, RabbitMQ's.
    pub channel_max: u16,
    /// Heartbeat interval offered, in seconds; 0 is none. Default: 60, RabbitMQ's.
    pub heartbeat: u16,
    /// Refuses queues that are neither durable nor exclusive with 541, as RabbitMQ 4.3 does where
    /// `deprecated_features.permit.transient_nonexcl_queues` is false. Default: false.
    pub refuse_transient_queues: bool,
    /// Faults from the start. Default: none.
    pub script: Script,
}

impl Default for LoopbackConfig {
    fn default() -> Self {
        Self {
            port: 0,
            vhosts: Vec::new(),
            users: vec![("guest".to_owned(), "guest".to_owned())],
            check_login: true,
            frame_max: 131_072,
            channel_max: 2047,
            heartbeat: 60,
            refuse_transient_queues: false,
            script: Script::default(),
        }
    }
}

impl std::fmt::Debug for LoopbackConfig {
    /// Without the passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let users: Vec<&str> = self.users.iter().map(|(user, _)| user.as_str()).collect();
        f.debug_struct("LoopbackConfig")
            .field("port", &self.port)
            .field("vhosts", &self.vhosts)
            .field("users", &users)
            .field("frame_max", &self.frame_max)
            .field("channel_max", &self.channel_max)
            .field("heartbeat", &self.heartbeat)
            .finish_non_exhaustive()
    }
}

/// What a [`Loopback`] has counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoopbackStats {
    /// Connections open now.
    pub connections: u64,
    /// Frames received; those of a publication that came whole count as one.
    pub frames_in: u64,
    /// Publications received.
    pub published: u64,
    /// Publications returned as unroutable.
    pub returned: u64,
    /// Deliveries handed over, `basic.get` included.
    pub delivered: u64,
    /// Deliveries acknowledged, or rejected for good.
    pub acked: u64,
}

/// What the threads share.
#[derive(Debug)]
struct Shared {
    broker: Mutex<Broker>,
    /// Wakes readers that are held back.
    unblocked: Condvar,
    /// Wakes the thread that drops what expires.
    sweep: Condvar,
    stopping: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Broker> {
        self.broker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// A running broker. Dropping it stops it.
#[derive(Debug)]
pub struct Loopback {
    shared: Arc<Shared>,
    addr: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl Loopback {
    /// Starts a broker on 127.0.0.1.
    ///
    /// # Errors
    /// What binding the port or starting a thread gives.
    pub fn start(config: LoopbackConfig) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port))?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            broker: Mutex::new(Broker::new(config, clock::now())),
            unblocked: Condvar::new(),
            sweep: Condvar::new(),
            stopping: AtomicBool::new(false),
        });
        let mut loopback = Self { shared: Arc::clone(&shared), addr, threads: Vec::new() };
        let for_sweeper = Arc::clone(&shared);
        loopback.threads.push(spawn("loopback-sweep", move || sweep_until_stop(&for_sweeper))?);
        loopback
            .threads
            .push(spawn("loopback-accept", move || accept_until_stop(&listener, &shared))?);
        Ok(loopback)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it listens, as an AMQP URL for guest. The virtual host `/` is spelled `%2f`, which
    /// every reader of such URLs understands alike.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.addr)
    }

    /// What it has counted.
    #[must_use]
    pub fn stats(&self) -> LoopbackStats {
        self.shared.lock().stats
    }

    /// Messages ready in a queue; `None` if there is no such queue.
    #[must_use]
    pub fn queue_len(&self, vhost: &str, queue: &str) -> Option<usize> {
        let broker = self.shared.lock();
        let vhost = broker.vhosts.iter().find(|other| other.name == vhost)?;
        let queue = *vhost.queues.get(queue)?;
        Some(broker.queues[queue].as_deref()?.len())
    }

    /// Whether an exchange is there.
    #[must_use]
    pub fn has_exchange(&self, vhost: &str, exchange: &str) -> bool {
        let broker = self.shared.lock();
        let vhost = broker.vhosts.iter().find(|other| other.name == vhost);
        vhost.is_some_and(|vhost| vhost.exchanges.contains_key(exchange))
    }

    /// Cuts every connection, ends every thread and frees the port, before it returns.
    pub fn stop(self) {
        drop(self);
    }

    /// Does something under the lock and sends what came of it.
    fn with_broker<T>(&self, act: impl FnOnce(&mut Broker) -> T) -> T {
        let mut flushes = Vec::new();
        let result = {
            let mut broker = self.shared.lock();
            broker.now = clock::now();
            let result = act(&mut broker);
            broker.end_batch(&mut flushes);
            result
        };
        flushes.iter().for_each(|out| out.flush());
        result
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        {
            // under the lock, or a thread about to wait would miss it
            let mut broker = self.shared.lock();
            self.shared.stopping.store(true, Ordering::Release);
            broker.connections().for_each(|connection| connection.out.kill());
            self.shared.unblocked.notify_all();
            self.shared.sweep.notify_all();
        }
        // wakes the accepting thread; if it fails, so did accepting
        let _ = TcpStream::connect(self.addr);
        for thread in self.threads.drain(..) {
            // a thread that panicked has printed why
            let _ = thread.join();
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// Lets clients in; ends, and has ended every connection's threads, when the broker stops.
fn accept_until_stop(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut clients: Vec<JoinHandle<()>> = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        if shared.is_stopping() {
            break;
        }
        clients.retain(|client| !client.is_finished());
        // a client we cannot serve sees its connection closed
        if let Ok(threads) = serve(stream, shared) {
            clients.extend(threads);
        }
    }
    // one that came in just before the end was not seen by the one who stopped us
    shared.lock().connections().for_each(|connection| connection.out.kill());
    for client in clients {
        let _ = client.join();
    }
}

fn serve(stream: TcpStream, shared: &Arc<Shared>) -> io::Result<[JoinHandle<()>; 2]> {
    stream.set_nodelay(true)?;
    let (out, id) = {
        let mut broker = shared.lock();
        let out = Arc::new(Outgoing::new(stream, broker.script.delay));
        let id = broker.connect(Arc::clone(&out));
        (out, id)
    };
    let (for_reader, reader_out) = (Arc::clone(shared), Arc::clone(&out));
    let reader = spawn("loopback-read", move || reader::run(&for_reader, id, &reader_out))?;
    let for_writer = Arc::clone(shared);
    let writer = spawn("loopback-write", move || {
        out.write_until_end(|| resume(&for_writer, id));
    })?;
    Ok([reader, writer])
}

/// Delivers what was held back while a connection was full.
fn resume(shared: &Shared, id: ConnectionId) {
    let mut flushes = Vec::new();
    {
        let mut broker = shared.lock();
        broker.now = clock::now();
        broker.resume(id);
        broker.end_batch(&mut flushes);
    }
    flushes.iter().for_each(|out| out.flush());
}

/// Drops what expires, when it does.
fn sweep_until_stop(shared: &Shared) {
    let mut flushes = Vec::new();
    let mut broker = shared.lock();
    while !shared.is_stopping() {
        broker.now = clock::now();
        if broker.next_sweep.is_some_and(|at| at <= broker.now) {
            broker.sweep();
            broker.end_batch(&mut flushes);
            flushes.drain(..).for_each(|out: Arc<Outgoing>| out.flush());
        }
        let next = broker.next_sweep;
        broker.sweeping_at = next;
        broker = match next {
            None => shared.sweep.wait(broker).unwrap_or_else(PoisonError::into_inner),
            Some(at) => {
                let pause = at.saturating_duration_since(clock::now());
                let waited = shared.sweep.wait_timeout(broker, pause);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}
