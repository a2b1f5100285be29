//! Name resolution off the shard's thread.
//!
//! `getaddrinfo` blocks and cannot be interrupted, so each lookup runs on a thread of its own that
//! nobody joins. Invariant: at most one lookup per name is under way, however many attempts wait
//! for it; an attempt that stops waiting leaves nothing behind but that thread, which ends with the
//! system resolver's own timeout.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

/// What a lookup found: addresses without a port, or the kind and text of the error.
type Found = Result<Vec<IpAddr>, (io::ErrorKind, String)>;

/// How a name becomes addresses; the system's resolver, or a test's.
type Lookup = fn(&str) -> io::Result<Vec<IpAddr>>;

/// The lookups of one shard. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    under_way: Rc<RefCell<HashMap<String, watch::Receiver<Option<Found>>>>>,
    lookup: Lookup,
}

impl Default for Resolver {
    fn default() -> Self {
        Self { under_way: Rc::default(), lookup: system }
    }
}

fn system(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address: SocketAddr| address.ip()).collect())
}

impl Resolver {
    /// All addresses of `host`, in the resolver's order; an address stands for itself.
    pub(crate) async fn resolve(&self, host: &str, limit: Duration) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let mut lookup = self.join_or_start(host)?;
        let finished = async {
            let found = lookup.wait_for(Option::is_some).await;
            found.ok().and_then(|found| found.clone())
        };
        let found = super::within(limit, finished).await.ok_or_else(|| {
            let text = format!("the name was not resolved within {limit:?}");
            io::Error::new(io::ErrorKind::TimedOut, text)
        })?;
        self.under_way.borrow_mut().remove(host);
        match found {
            Some(Ok(addresses)) => Ok(addresses),
            Some(Err((kind, text))) => Err(io::Error::new(kind, text)),
            None => Err(io::Error::other("the resolver's thread ended without an answer")),
        }
    }

    fn join_or_start(&self, host: &str) -> io::Result<watch::Receiver<Option<Found>>> {
        let mut under_way = self.under_way.borrow_mut();
        // One that has ended meanwhile is too old to be used.
        if let Some(lookup) = under_way.get(host)
            && lookup.borrow().is_none()
            && lookup.has_changed().is_ok()
        {
            return Ok(lookup.clone());
        }
        let (answer, lookup) = watch::channel(None);
        let (name, look) = (host.to_owned(), self.lookup);
        std::thread::Builder::new().name("leveret-resolver".into()).spawn(move || {
            let found = look(&name).map_err(|error| (error.kind(), error.to_string()));
            let _ = answer.send(Some(found));
        })?;
        under_way.insert(host.to_owned(), lookup.clone());
        Ok(lookup)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn run<F: Future>(test: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(test)
    }

    #[test]
    fn addresses_stand_for_themselves_and_names_are_looked_up() {
        run(async {
            let resolver = Resolver::default();
            let limit = Duration::from_secs(20);
            let v6 = resolver.resolve("::1", limit).await.unwrap();
            assert_eq!(v6, ["::1".parse::<IpAddr>().unwrap()]);
            let local = resolver.resolve("localhost", limit).await.unwrap();
            assert!(local.iter().all(IpAddr::is_loopback) && !local.is_empty(), "{local:?}");
            resolver.resolve("no-such-host.invalid", limit).await.unwrap_err();
            assert!(resolver.under_way.borrow().is_empty());
        });
    }

    static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

    fn slow(_: &str) -> io::Result<Vec<IpAddr>> {
        LOOKUPS.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(300));
        Ok(vec![[127, 0, 0, 1].into()])
    }

    #[test]
    fn a_slow_lookup_is_waited_for_within_the_limit_and_shared() {
        run(async {
            let resolver = Resolver { lookup: slow, ..Resolver::default() };
            let limit = Duration::from_millis(1);
            for _ in 0..20 {
                let error = resolver.resolve("slow.example", limit).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            }
            let found = resolver.resolve("slow.example", Duration::from_secs(20)).await.unwrap();
            assert_eq!(found, [IpAddr::from([127, 0, 0, 1])]);
            assert_eq!(LOOKUPS.load(Ordering::SeqCst), 1, "all of them waited for one lookup");
        });
    }
}
