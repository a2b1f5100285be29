//! The server that [`Sink`](super::Sink) and [`Source`](super::Source) share: accepts connections,
//! reads the protocol header, counts, and cuts everything at the end.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::loopback::canned::write_start;
use crate::loopback::shared::spawn;
use crate::wire::frame::PROTOCOL_HEADER;

/// Counters and connections of a peer, shared with its connections.
#[derive(Debug, Default)]
pub(super) struct PeerCounters {
    pub(super) published: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) reads: AtomicU64,
    pub(super) errors: AtomicU64,
    stopping: AtomicBool,
    /// Open connections, which are cut at the end.
    streams: Mutex<HashMap<u64, TcpStream>>,
}

impl PeerCounters {
    fn streams(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listening peer that serves each connection with a function on a thread of its own.
#[derive(Debug)]
pub(super) struct PeerServer {
    pub(super) addr: SocketAddr,
    pub(super) counters: Arc<PeerCounters>,
    thread: Option<JoinHandle<()>>,
}

impl PeerServer {
    pub(super) fn start(
        name: &'static str,
        serve: impl Fn(TcpStream, &PeerCounters) -> io::Result<()> + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let counters = Arc::new(PeerCounters::default());
        let shared = Arc::clone(&counters);
        let thread = spawn(name, move || accept_until_stop(name, &listener, &shared, &serve))?;
        Ok(Self { addr, counters, thread: Some(thread) })
    }
}

impl Drop for PeerServer {
    fn drop(&mut self) {
        self.counters.stopping.store(true, Ordering::Release);
        // Wakes the accepting thread; if this fails, accepting has failed too.
        let _ = TcpStream::connect(self.addr);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has already printed why.
            let _ = thread.join();
        }
    }
}

fn accept_until_stop(
    name: &str,
    listener: &TcpListener,
    counters: &Arc<PeerCounters>,
    serve: &(impl Fn(TcpStream, &PeerCounters) -> io::Result<()> + Clone + Send + 'static),
) {
    let mut clients: Vec<JoinHandle<()>> = Vec::new();
    for id in 0.. {
        let Ok((stream, _)) = listener.accept() else { break };
        if counters.stopping.load(Ordering::Acquire) {
            break;
        }
        let Ok(for_stop) = stream.try_clone() else { continue };
        counters.streams().insert(id, for_stop);
        clients.retain(|client| !client.is_finished());
        let (shared, serve) = (Arc::clone(counters), serve.clone());
        let client = spawn(name, move || {
            if serve(stream, &shared).is_err() && !shared.stopping.load(Ordering::Acquire) {
                shared.errors.fetch_add(1, Ordering::Relaxed);
            }
            // Drops the last handle of the socket, which closes it.
            shared.streams().remove(&id);
        });
        clients.extend(client);
    }
    for stream in counters.streams().values() {
        // An error means that the stream is already closed.
        let _ = stream.shutdown(Shutdown::Both);
    }
    for client in clients {
        let _ = client.join();
    }
}

pub(super) fn bad_frame(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Reads the protocol header and answers it.
pub(super) fn read_protocol_header(stream: &mut (impl Read + Write)) -> io::Result<()> {
    let mut header = [0; PROTOCOL_HEADER.len()];
    stream.read_exact(&mut header)?;
    if header != PROTOCOL_HEADER {
        return Err(bad_frame("no protocol header"));
    }
    let mut out = Vec::new();
    write_start(&mut out);
    stream.write_all(&out)
}
