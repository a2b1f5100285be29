//! The loopback broker as its users start it: a thread that accepts connections, and one that drops
//! what has expired.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::loopback::broker::state::Broker;
use crate::loopback::clock;
use crate::loopback::config::{LoopbackConfig, LoopbackStats};
use crate::loopback::connection::outgoing::Outgoing;
use crate::loopback::connection::reader;
use crate::loopback::shared::{Shared, spawn};

/// A running broker. Dropping it stops it.
#[derive(Debug)]
pub struct Loopback {
    pub(crate) shared: Arc<Shared>,
    addr: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl Loopback {
    /// Starts a broker on 127.0.0.1.
    ///
    /// # Errors
    /// The error of binding the port or of starting a thread.
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

    /// Returns the address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the address it listens on as an AMQP URL with user guest. The URL spells the virtual
    /// host `/` as `%2f`, which all clients understand.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.addr)
    }

    /// Returns its counters.
    #[must_use]
    pub fn stats(&self) -> LoopbackStats {
        self.shared.lock().stats
    }

    /// Returns the number of messages that are ready in a queue; `None` if there is no such queue.
    #[must_use]
    pub fn queue_len(&self, vhost: &str, queue: &str) -> Option<usize> {
        let broker = self.shared.lock();
        let vhost = broker.vhosts.iter().find(|other| other.name == vhost)?;
        let queue = *vhost.queues.get(queue)?;
        Some(broker.queues[queue].as_deref()?.len())
    }

    /// Returns true if an exchange exists.
    #[must_use]
    pub fn has_exchange(&self, vhost: &str, exchange: &str) -> bool {
        let broker = self.shared.lock();
        let vhost = broker.vhosts.iter().find(|other| other.name == vhost);
        vhost.is_some_and(|vhost| vhost.exchanges.contains_key(exchange))
    }

    /// Cuts every connection, ends every thread and frees the port before it returns.
    pub fn stop(self) {
        drop(self);
    }

    /// Runs `act` under the lock and then sends the resulting bytes.
    pub(crate) fn with_broker<T>(&self, act: impl FnOnce(&mut Broker) -> T) -> T {
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
            // Under the lock; otherwise a thread that is about to wait would miss it.
            let mut broker = self.shared.lock();
            self.shared.stopping.store(true, Ordering::Release);
            broker.connections().for_each(|connection| connection.out.kill());
            self.shared.unblocked.notify_all();
            self.shared.sweep.notify_all();
        }
        // Wakes the accepting thread; if this fails, accepting has failed too.
        let _ = TcpStream::connect(self.addr);
        for thread in self.threads.drain(..) {
            // A thread that panicked has already printed why.
            let _ = thread.join();
        }
    }
}

/// Accepts clients until the broker stops; then ends the threads of every connection.
fn accept_until_stop(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut clients: Vec<JoinHandle<()>> = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        if shared.is_stopping() {
            break;
        }
        clients.retain(|client| !client.is_finished());
        // A client that cannot be served sees its connection closed.
        if let Ok(threads) = serve(stream, shared) {
            clients.extend(threads);
        }
    }
    // A connection accepted just before the end was not seen by the thread that stops the broker.
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
        out.write_until_end(|| for_writer.resume(id));
    })?;
    Ok([reader, writer])
}

/// Drops what expires, at its deadline.
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
