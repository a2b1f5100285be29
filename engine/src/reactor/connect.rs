//! Connects to a name with all its addresses, for every backend that uses the kernel.
//!
//! Addresses of both families alternate. The next attempt starts when the last one has failed or
//! has not succeeded for a moment, as in RFC 8305 without its caches, so one dead address or family
//! costs a quarter of a second. The first connection that opens wins; the others are dropped.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::reactor::resolve::Resolver;

/// The Connection Attempt Delay of RFC 8305: how long one attempt may take before the next starts
/// beside it (section 5 recommends 250 ms).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Options of a socket and limits of connecting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketOptions {
    /// How long sent bytes may stay unacknowledged by the peer's kernel (TCP_USER_TIMEOUT); zero
    /// keeps the system's default.
    pub(crate) tcp_user_timeout: Duration,
    /// Limit of name resolution.
    pub(crate) resolve_timeout: Duration,
    /// Limit of connecting to each address.
    pub(crate) connect_timeout: Duration,
}

pub(super) async fn connect(
    resolver: &Resolver,
    host: &str,
    port: u16,
    options: SocketOptions,
) -> io::Result<TcpStream> {
    let addresses = resolver.resolve(host, options.resolve_timeout).await?;
    let dial = |address: IpAddr| async move {
        let connecting = TcpStream::connect(SocketAddr::new(address, port));
        let limit = options.connect_timeout;
        super::within(limit, connecting).await.unwrap_or_else(|| {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {limit:?}")))
        })
    };
    let stream = race_addresses(interleave_families(addresses), dial).await?;
    configure(&stream, options)?;
    Ok(stream)
}

/// Alternates the addresses of both families, beginning with the family that the resolver put
/// first.
fn interleave_families(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let Some(first) = addresses.first().map(IpAddr::is_ipv6) else { return addresses };
    let (mut preferred, mut other) = (Vec::new(), Vec::new());
    for address in addresses {
        let family = if address.is_ipv6() == first { &mut preferred } else { &mut other };
        if !family.contains(&address) {
            family.push(address);
        }
    }
    let mut interleaved = Vec::with_capacity(preferred.len() + other.len());
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    loop {
        match (preferred.next(), other.next()) {
            (None, None) => return interleaved,
            (one, another) => interleaved.extend(one.into_iter().chain(another)),
        }
    }
}

type Attempt<T> = Pin<Box<dyn Future<Output = io::Result<T>>>>;

/// Returns the first connection that `dial` opens, or the last error if every address fails.
async fn race_addresses<T, F>(addresses: Vec<IpAddr>, dial: impl Fn(IpAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>> + 'static,
{
    let mut waiting = addresses.into_iter();
    let mut running: Vec<Attempt<T>> = Vec::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        if let Some(address) = waiting.next() {
            running.push(Box::pin(dial(address)));
        } else if running.is_empty() {
            return Err(last);
        }
        // Wait until an attempt ends, or until the next address may start.
        let is_last = waiting.len() == 0;
        let mut attempt_delay = std::pin::pin!(super::sleep(ATTEMPT_DELAY));
        let ended = poll_fn(|cx| {
            for (index, attempt) in running.iter_mut().enumerate() {
                if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                    drop(running.swap_remove(index));
                    return Poll::Ready(Some(result));
                }
            }
            if is_last { Poll::Pending } else { attempt_delay.as_mut().poll(cx).map(|()| None) }
        });
        match ended.await {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => last = error,
            None => {}
        }
    }
}

fn configure(stream: &TcpStream, options: SocketOptions) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if !options.tcp_user_timeout.is_zero() {
        socket.set_tcp_user_timeout(Some(options.tcp_user_timeout))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Instant;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn address_families_alternate_and_every_address_is_tried() {
        let found = ["::1", "::2", "::3", "10.0.0.1", "::1"].map(ip).to_vec();
        assert_eq!(interleave_families(found), ["::1", "10.0.0.1", "::2", "::3"].map(ip));
        let found = ["10.0.0.1", "::1", "10.0.0.2"].map(ip).to_vec();
        assert_eq!(interleave_families(found), ["10.0.0.1", "::1", "10.0.0.2"].map(ip));
        assert!(interleave_families(Vec::new()).is_empty());
    }

    /// Dials addresses where `10.*` never answers, `::*` is refused, and any other connects.
    /// Returns the result and when each address was dialled.
    fn dialled(addresses: &[&str]) -> (io::Result<IpAddr>, Vec<(IpAddr, Duration)>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let start: Instant = crate::reactor::now();
            let seen = Rc::new(RefCell::new(Vec::new()));
            let dial = |address: IpAddr| {
                seen.borrow_mut().push((address, crate::reactor::now() - start));
                async move {
                    match address {
                        IpAddr::V6(_) => Err(io::ErrorKind::ConnectionRefused.into()),
                        IpAddr::V4(v4) if v4.octets()[0] == 10 => {
                            crate::reactor::sleep(Duration::from_secs(1)).await;
                            Err(io::ErrorKind::TimedOut.into())
                        }
                        IpAddr::V4(_) => Ok(address),
                    }
                }
            };
            let won = race_addresses(addresses.iter().map(|text| ip(text)).collect(), dial).await;
            (won, seen.take())
        })
    }

    #[test]
    fn a_refused_address_is_skipped_at_once_and_a_silent_one_after_a_quarter_of_a_second() {
        let (won, seen) = dialled(&["::1", "10.0.0.1", "127.0.0.1", "127.0.0.2"]);
        assert_eq!(won.unwrap(), ip("127.0.0.1"));
        let ms = |ms| Duration::from_millis(ms);
        let times: Vec<Duration> = seen.iter().map(|(_, at)| *at).collect();
        assert_eq!(times, [ms(0), ms(0), ms(250)], "{seen:?}");
    }

    #[test]
    fn the_last_error_is_returned_if_no_address_answers() {
        let (won, seen) = dialled(&["10.0.0.1", "10.0.0.2", "::1"]);
        assert_eq!(won.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(seen.len(), 3);
        let (won, _) = dialled(&[]);
        assert_eq!(won.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
