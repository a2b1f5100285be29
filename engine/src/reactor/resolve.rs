//! Name resolution off the shard's thread.
//!
//! `getaddrinfo` blocks and cannot be interrupted, so it runs in the background, once per name at a
//! time. An attempt that stops waiting leaves only that thread behind, which ends with the system
//! resolver's own timeout.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::time::Duration;

use crate::reactor::background::Background;

/// The result of a lookup: addresses without a port, or the kind and text of the error.
type LookupResult = Result<Vec<IpAddr>, (io::ErrorKind, String)>;

/// The lookups of one shard. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolver {
    lookups: Rc<RefCell<HashMap<String, Background<LookupResult>>>>,
}

fn look_up(host: &str) -> LookupResult {
    let addresses = (host, 0).to_socket_addrs();
    let addresses = addresses.map_err(|error| (error.kind(), error.to_string()))?;
    Ok(addresses.map(|address: SocketAddr| address.ip()).collect())
}

impl Resolver {
    /// Returns all addresses of `host`, in the resolver's order; an address resolves to itself.
    pub(crate) async fn resolve(&self, host: &str, limit: Duration) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let lookup = self.lookups.borrow_mut().entry(host.to_owned()).or_default().clone();
        let name = host.to_owned();
        let found = lookup.run("leveret-resolver", limit, move || look_up(&name)).await;
        let found = found.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => {
                let text = format!("the name was not resolved within {limit:?}");
                io::Error::new(io::ErrorKind::TimedOut, text)
            }
            _ => error,
        })?;
        self.lookups.borrow_mut().remove(host);
        found.map_err(|(kind, text)| io::Error::new(kind, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_resolve_to_themselves_and_names_are_looked_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let resolver = Resolver::default();
            let limit = Duration::from_secs(20);
            let v6 = resolver.resolve("::1", limit).await.unwrap();
            assert_eq!(v6, ["::1".parse::<IpAddr>().unwrap()]);
            let local = resolver.resolve("localhost", limit).await.unwrap();
            assert!(local.iter().all(IpAddr::is_loopback) && !local.is_empty(), "{local:?}");
            resolver.resolve("no-such-host.invalid", limit).await.unwrap_err();
            assert!(resolver.lookups.borrow().is_empty());
        });
    }
}
