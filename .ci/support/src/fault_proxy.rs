//! A TCP proxy that injects faults: resets, silence, delay, single octets.
//!
//! Two threads forward the octets of a connection, one for each direction. Invariant: the proxy
//! forwards octets in order and unchanged, or not at all; a reset discards the octets it has
//! delayed. Not here: AMQP (`cutting` cuts at frames), corruption.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_linger;

/// Timeout of a connect to the broker.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Interval at which a waiting thread checks its state.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Size of one read, in octets.
const BLOCK: usize = 64 << 10;

/// A proxy to one broker, on 127.0.0.1. Dropping it resets its connections.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    broker: SocketAddr,
    /// The listening socket is closed, so the kernel refuses connections.
    refuses: AtomicBool,
    /// The proxy accepts new connections and forwards nothing on them.
    is_cut: AtomicBool,
    /// The proxy forwards single octets, each in its own segment.
    drips: AtomicBool,
    /// Delay of each block, in microseconds.
    delay_us: AtomicU64,
    /// Octets after which a new connection is reset; negative means no limit.
    left_of_new: AtomicI64,
    is_dropped: AtomicBool,
    links: Mutex<Vec<Weak<Link>>>,
}

/// State that the two threads of a connection share.
#[derive(Debug)]
struct Link {
    near: TcpStream,
    far: TcpStream,
    state: Mutex<State>,
    changed: Condvar,
    /// Octets left before the reset; negative means no limit.
    left: AtomicI64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Passing,
    Silent,
    Reset,
}

impl FaultProxy {
    /// Starts a proxy to the broker at this address.
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub fn to(broker: SocketAddr) -> io::Result<Self> {
        let [port] = crate::ports::draw();
        let shared = Arc::new(Shared {
            broker,
            refuses: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            drips: AtomicBool::new(false),
            delay_us: AtomicU64::new(0),
            left_of_new: AtomicI64::new(-1),
            is_dropped: AtomicBool::new(false),
            links: Mutex::default(),
        });
        let listening = listen(port)?;
        let for_listener = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("fault-proxy".to_owned())
            .spawn(move || for_listener.accept_all(port, Some(listening)))?;
        Ok(Self { port, shared })
    }

    /// Returns the port of the proxy on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Closes the listening socket, like a host whose service is down, or opens it again.
    pub fn refuse(&self, refuses: bool) {
        self.shared.refuses.store(refuses, Ordering::Release);
    }

    /// Resets every open connection; returns how many.
    pub fn reset(&self) -> usize {
        let links = self.shared.live_links();
        links.iter().for_each(|link| link.enter(State::Reset));
        links.len()
    }

    /// Stops forwarding on the connections that are open now. They stay half-open until
    /// [`reset`](Self::reset). New connections work. Returns how many are silenced.
    pub fn silence(&self) -> usize {
        let links = self.shared.live_links();
        links.iter().for_each(|link| link.enter(State::Silent));
        links.len()
    }

    /// Resets the silenced connections.
    pub fn reset_silent(&self) {
        let links = self.shared.live_links();
        links.iter().filter(|link| link.is(State::Silent)).for_each(|l| l.enter(State::Reset));
    }

    /// Cuts the network silently: the proxy forwards nothing on open connections, and accepts new
    /// ones without an answer. With `false` it resets them, like a peer that does not know them.
    pub fn cut(&self, is_cut: bool) {
        self.shared.is_cut.store(is_cut, Ordering::Release);
        match is_cut {
            true => drop(self.silence()),
            false => self.reset_silent(),
        }
    }

    /// Forwards single octets, or whole blocks again.
    pub fn drip(&self, drips: bool) {
        self.shared.drips.store(drips, Ordering::Release);
    }

    /// Delays each block by this time; zero means no delay.
    pub fn delay(&self, delay: Duration) {
        let us = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.shared.delay_us.store(us, Ordering::Release);
    }

    /// Resets each connection that is open now after `octets` more octets, both directions counted
    /// together; `None` cancels this.
    pub fn cut_after(&self, octets: Option<u32>) {
        let left = octets.map_or(-1, i64::from);
        for link in self.shared.live_links() {
            link.left.store(left, Ordering::Release);
        }
    }

    /// Resets each later connection after `octets` octets, both directions counted together; `None`
    /// cancels this.
    pub fn cut_new_after(&self, octets: Option<u32>) {
        self.shared.left_of_new.store(octets.map_or(-1, i64::from), Ordering::Release);
    }

    /// Returns how many connections are open.
    pub fn open(&self) -> usize {
        self.shared.live_links().len()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.is_dropped.store(true, Ordering::Release);
        self.reset();
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let listening = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listening.set_nonblocking(true)?;
    Ok(listening)
}

impl Shared {
    /// Accepts until the proxy is dropped.
    fn accept_all(self: &Arc<Self>, port: u16, mut listening: Option<TcpListener>) {
        while !self.is_dropped.load(Ordering::Acquire) {
            if self.refuses.load(Ordering::Acquire) {
                listening = None;
            } else if listening.is_none() {
                listening = listen(port).ok();
            }
            match &listening {
                Some(socket) if is_ready(socket) => {
                    while let Ok((near, _)) = socket.accept() {
                        let shared = Arc::clone(self);
                        let serve = move || drop(shared.serve(near));
                        let _ = std::thread::Builder::new().spawn(serve);
                    }
                }
                Some(_) => {}
                None => std::thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// Connects to the broker and forwards octets until either side ends. If the broker is
    /// unreachable, the client gets a reset.
    fn serve(&self, near: TcpStream) -> io::Result<()> {
        near.set_nonblocking(false)?;
        let connected = match self.is_cut.load(Ordering::Acquire) {
            // No broker is needed, because nothing passes.
            true => near.try_clone(),
            false => TcpStream::connect_timeout(&self.broker, CONNECT_WITHIN),
        };
        let Ok(far) = connected else {
            set_socket_linger(&near, Some(Duration::ZERO))?;
            return Ok(());
        };
        let left = self.left_of_new.load(Ordering::Acquire);
        let link = Link::new(near, far, self.is_cut.load(Ordering::Acquire), left)?;
        self.lock().push(Arc::downgrade(&link));
        if self.is_dropped.load(Ordering::Acquire) {
            link.enter(State::Reset);
        }
        std::thread::scope(|scope| {
            scope.spawn(|| link.pass(&link.near, &link.far, self));
            link.pass(&link.far, &link.near, self);
        });
        Ok(())
    }

    fn live_links(&self) -> Vec<Arc<Link>> {
        let mut links = self.lock();
        links.retain(|link| link.strong_count() > 0);
        links.iter().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits up to [`LOOK_EVERY`] for a connection to accept.
fn is_ready(socket: &TcpListener) -> bool {
    let timeout = Timespec::try_from(LOOK_EVERY).ok();
    let mut polled = [PollFd::new(socket, PollFlags::IN)];
    poll(&mut polled, timeout.as_ref()).is_ok_and(|ready| ready > 0)
}

impl Link {
    fn new(near: TcpStream, far: TcpStream, is_cut: bool, left: i64) -> io::Result<Arc<Self>> {
        for side in [&near, &far] {
            side.set_nodelay(true)?;
            side.set_write_timeout(Some(LOOK_EVERY))?;
        }
        let state = Mutex::new(if is_cut { State::Silent } else { State::Passing });
        let (changed, left) = (Condvar::new(), AtomicI64::new(left));
        Ok(Arc::new(Self { near, far, state, changed, left }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, state: State) -> bool {
        *self.lock() == state
    }

    fn enter(&self, state: State) {
        {
            let mut now = self.lock();
            if *now == State::Reset {
                return;
            }
            *now = state;
        }
        self.changed.notify_all();
        if state == State::Reset {
            for side in [&self.near, &self.far] {
                // The kernel sends the reset when both threads, woken by this, have dropped the
                // sockets.
                let _ = set_socket_linger(side, Some(Duration::ZERO));
                let _ = side.shutdown(Shutdown::Read);
            }
        }
    }

    /// Waits while the connection is silent; returns false once it is reset.
    fn may_pass(&self) -> bool {
        let mut state = self.lock();
        while *state == State::Silent {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        *state == State::Passing
    }

    /// Forwards one direction until it ends, then ends the other one.
    fn pass(&self, mut from: &TcpStream, to: &TcpStream, shared: &Shared) {
        let mut block = vec![0; BLOCK];
        // A connection accepted during a cut has no broker side to read from.
        while self.may_pass() {
            let Ok(length @ 1..) = from.read(&mut block) else { break };
            let delay = Duration::from_micros(shared.delay_us.load(Ordering::Acquire));
            if !delay.is_zero() {
                std::thread::sleep(delay);
            }
            if !self.may_pass() {
                break;
            }
            let (octets, is_last) = self.allowed(&block[..length]);
            let is_passed = self.write(to, octets, shared);
            if is_last {
                self.enter(State::Reset);
            }
            if is_last || !is_passed {
                break;
            }
        }
        if !self.is(State::Reset) {
            // Either side may be closed already.
            let _ = self.near.shutdown(Shutdown::Both);
            let _ = self.far.shutdown(Shutdown::Both);
        }
    }

    /// Returns the octets that may pass, and whether the connection ends after them.
    fn allowed<'a>(&self, octets: &'a [u8]) -> (&'a [u8], bool) {
        let length = i64::try_from(octets.len()).unwrap_or(i64::MAX);
        let take = |left: i64| (left >= 0).then(|| (left - length).max(0));
        match self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, take) {
            Ok(left) if left <= length => {
                (&octets[..usize::try_from(left).unwrap_or(octets.len())], true)
            }
            _ => (octets, false),
        }
    }

    /// Writes all octets, however slowly the peer reads; returns false once the connection has
    /// ended.
    fn write(&self, mut to: &TcpStream, mut octets: &[u8], shared: &Shared) -> bool {
        while !octets.is_empty() {
            let drips = shared.drips.load(Ordering::Acquire);
            let chunk = if drips { &octets[..1] } else { octets };
            match to.write(chunk) {
                Ok(0) => return false,
                Ok(written) => octets = &octets[written..],
                Err(error) if is_wait(&error) => {}
                Err(_) => return false,
            }
            if !self.may_pass() {
                return false;
            }
        }
        true
    }
}

fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts an echo server, and a proxy to it.
    fn echo() -> FaultProxy {
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listening.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listening.incoming().map_while(Result::ok) {
                std::thread::spawn(move || {
                    let _ = io::copy(&mut &stream, &mut &stream);
                });
            }
        });
        FaultProxy::to(address).unwrap()
    }

    fn connect(proxy: &FaultProxy) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        stream
    }

    fn exchange(mut stream: &TcpStream, text: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(text)?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    fn kind(result: io::Result<Vec<u8>>) -> ErrorKind {
        result.expect_err("nothing passes").kind()
    }

    #[test]
    fn what_is_silent_stays_open_until_it_is_reset() {
        let proxy = echo();
        let stream = connect(&proxy);
        assert_eq!(exchange(&stream, b"one").unwrap(), b"one");
        assert_eq!((proxy.open(), proxy.silence()), (1, 1));
        assert!(is_wait(&io::Error::from(kind(exchange(&stream, b"two")))));
        assert_eq!(exchange(&connect(&proxy), b"new").unwrap(), b"new", "other connections work");
        proxy.reset();
        assert_eq!(kind(exchange(&stream, b"three")), ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_cut_takes_new_connections_too_and_ends_them_when_it_heals() {
        let proxy = echo();
        let stream = connect(&proxy);
        assert_eq!(exchange(&stream, b"one").unwrap(), b"one");
        proxy.cut(true);
        let new = connect(&proxy);
        assert!(is_wait(&io::Error::from(kind(exchange(&new, b"two")))));
        proxy.cut(false);
        assert_eq!(kind(exchange(&new, b"three")), ErrorKind::ConnectionReset);
        assert_eq!(kind(exchange(&stream, b"three")), ErrorKind::ConnectionReset);
        assert_eq!(exchange(&connect(&proxy), b"new").unwrap(), b"new");
    }

    #[test]
    fn a_connection_is_reset_after_so_many_octets() {
        let proxy = echo();
        let mut stream = connect(&proxy);
        assert_eq!(exchange(&stream, b"one").unwrap(), b"one");
        proxy.cut_after(Some(6));
        // Four octets to the server and two of the four back.
        stream.write_all(b"four").unwrap();
        let mut back = Vec::new();
        let _ = stream.read_to_end(&mut back);
        assert!(b"four".starts_with(&back) && back.len() <= 2, "{back:?}");
        assert_eq!(exchange(&connect(&proxy), b"new").unwrap(), b"new", "new connections work");
    }

    #[test]
    fn octets_drip_and_wait_and_nothing_is_changed() {
        let proxy = echo();
        proxy.drip(true);
        proxy.delay(Duration::from_millis(20));
        let stream = connect(&proxy);
        let text: Vec<u8> = (0..=255).collect();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(exchange(&stream, &text).unwrap(), text);
    }

    #[test]
    fn a_proxy_that_refuses_has_no_socket_and_gets_its_port_back() {
        let proxy = echo();
        assert_eq!(exchange(&connect(&proxy), b"one").unwrap(), b"one");
        proxy.refuse(true);
        std::thread::sleep(LOOK_EVERY * 4);
        let refused = TcpStream::connect(("127.0.0.1", proxy.port()));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        proxy.refuse(false);
        std::thread::sleep(LOOK_EVERY * 4);
        assert_eq!(exchange(&connect(&proxy), b"two").unwrap(), b"two");
    }
}
