//! The address of one AMQP peer, and the login there.
//!
//! It is read from a transport URL ([`leveret::TransportUrl`]). The first host of several is taken,
//! because a measurement is about one broker. Invariant: the password is in no `Debug` and no
//! error.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Result, bail};
use leveret::{TransportHost, TransportUrl};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

/// Characters that a part of a URL need not escape.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One peer.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct BrokerAddress {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) vhost: String,
    /// The authority of a port that speaks TLS.
    pub(crate) tls_ca: Option<PathBuf>,
}

impl fmt::Debug for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rabbit://{}:***@{}:{}/{}", self.user, self.host, self.port, self.vhost)
    }
}

impl BrokerAddress {
    /// A peer of this process, which takes any login.
    pub(crate) fn local(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
            user: "guest".to_owned(),
            password: "guest".to_owned(),
            vhost: "/".to_owned(),
            tls_ca: None,
        }
    }

    /// The first host of `url`, with RabbitMQ's defaults for what is missing.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let url: TransportUrl = url.parse()?;
        let is_on =
            |(name, value): (&str, &str)| name == "ssl" && matches!(value, "1" | "true" | "True");
        let ca = url.query().find(|(name, _)| *name == "ssl_ca_file");
        let tls_ca = match (url.transport(), url.query().any(is_on), ca) {
            ("rabbit" | "amqp", false, _) => None,
            ("rabbit", true, Some((_, path))) => Some(path.into()),
            ("rabbit" | "amqp" | "amqps" | "rabbits", ..) => {
                bail!(
                    "TLS is measured by rabbit://…?ssl=true&ssl_ca_file=…, and beside plain \
                       connections by the subject leveret?tls=true"
                )
            }
            _ => bail!("the URL should begin with rabbit:// or amqp://"),
        };
        let address = match url.hosts().first() {
            Some(host) => Self::of(&url, host),
            None => {
                let address = Self::local((Ipv4Addr::LOCALHOST, leveret::AMQP_PORT).into());
                let vhost = url.virtual_host().to_owned();
                Self { host: "localhost".to_owned(), vhost, ..address }
            }
        };
        Ok(Self { tls_ca, ..address })
    }

    fn of(url: &TransportUrl, host: &TransportHost) -> Self {
        Self {
            host: host.hostname().to_owned(),
            port: host.port(),
            user: host.username().to_owned(),
            password: host.password().to_owned(),
            vhost: url.virtual_host().to_owned(),
            tls_ca: None,
        }
    }

    /// The URL of this peer, for another program. It holds the password.
    pub(crate) fn url(&self) -> String {
        self.url_and("")
    }

    /// The same with these options.
    pub(crate) fn url_and(&self, options: &str) -> String {
        let tls = match &self.tls_ca {
            Some(ca) => format!("ssl=true&ssl_ca_file={}", escaped(&ca.display().to_string())),
            None => String::new(),
        };
        let options = [options, &tls].into_iter().filter(|part| !part.is_empty());
        let options = options.collect::<Vec<_>>().join("&");
        let separator = if options.is_empty() { "" } else { "?" };
        format!("{}{separator}{options}", self.url_with("rabbit"))
    }

    /// The same URL under the scheme other clients use.
    #[cfg(feature = "peers")]
    pub(crate) fn amqp_url(&self) -> String {
        self.url_with("amqp")
    }

    fn url_with(&self, scheme: &str) -> String {
        format!("{scheme}://{}/{}", self.authority(), escaped(&self.vhost))
    }

    /// Login, host and port, as they stand in a URL.
    fn authority(&self) -> String {
        let (user, password, port) = (escaped(&self.user), escaped(&self.password), self.port);
        let is_ipv6 = self.host.contains(':');
        let host = if is_ipv6 { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{user}:{password}@{host}:{port}")
    }
}

/// `url` with these ports of this machine in place of its hosts; logins, virtual host and options
/// stay. It holds the passwords.
pub(crate) fn at_local_ports(url: &TransportUrl, ports: impl Iterator<Item = u16>) -> String {
    let at = |(host, port): (&TransportHost, u16)| {
        let host_address = BrokerAddress::of(url, host);
        BrokerAddress { host: Ipv4Addr::LOCALHOST.to_string(), port, ..host_address }.authority()
    };
    let hosts: Vec<String> = url.hosts().iter().zip(ports).map(at).collect();
    let (scheme, vhost) = (url.transport(), escaped(url.virtual_host()));
    let options = url.query().map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
    let options: Vec<String> = options.collect();
    let separator = if options.is_empty() { "" } else { "?" };
    format!("{scheme}://{}/{vhost}{separator}{}", hosts.join(","), options.join("&"))
}

fn escaped(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, UNRESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_url_is_taken_apart_and_put_together() {
        let address =
            BrokerAddress::parse("rabbit://me:p%40ss@10.0.0.1:7701,x:y@other:1/%2Fa?ssl=0")
                .expect("a good URL");
        assert_eq!((address.host.as_str(), address.port), ("10.0.0.1", 7701));
        assert_eq!((address.password.as_str(), address.vhost.as_str()), ("p@ss", "/a"));
        assert_eq!(address.url(), "rabbit://me:p%40ss@10.0.0.1:7701/%2Fa");
        assert_eq!(BrokerAddress::parse(&address.url()).expect("a good URL"), address);
    }

    #[test]
    fn an_authority_makes_a_port_one_of_tls() {
        let url = "rabbit://guest:guest@h:1/%2F?ssl=true&ssl_ca_file=%2Fa%20b.pem";
        let address = BrokerAddress::parse(url).expect("a good URL");
        assert_eq!(address.tls_ca.as_deref(), Some(std::path::Path::new("/a b.pem")));
        assert_eq!(BrokerAddress::parse(&address.url()).expect("a good URL"), address);
        assert!(address.url_and("x=1").contains("?x=1&ssl=true&"));
    }

    #[test]
    fn what_is_missing_has_the_broker_s_defaults() {
        for url in ["rabbit:///", "rabbit://localhost", "amqp://"] {
            let address = BrokerAddress::parse(url).expect("a good URL");
            assert_eq!(address.url(), "rabbit://guest:guest@localhost:5672/%2F");
        }
    }

    #[test]
    fn bad_urls_say_what_is_wrong() {
        let wrong = |url| BrokerAddress::parse(url).expect_err("a bad URL").to_string();
        assert!(wrong("http://x").contains("rabbit:// or amqp://"));
        assert!(wrong("amqps://x").contains("leveret?tls=true"));
        assert!(wrong("rabbit://x/?ssl=1").contains("ssl_ca_file"));
        assert!(wrong("rabbit://x:port").contains("the port is not a number"));
        assert!(wrong("rabbit://%ff@x").contains("not UTF-8"));
    }

    #[test]
    fn no_debug_text_holds_the_password() {
        let address = BrokerAddress::parse("rabbit://me:secret@h").expect("a good URL");
        assert!(!format!("{address:?}").contains("secret"));
    }

    #[test]
    fn hosts_are_replaced_and_all_else_stays() {
        let url = "rabbit://me:p%40@h1:1,h2,you@[::1]:3/v%2Fh?a=b%26c&d=e".parse();
        let local = at_local_ports(&url.expect("a good URL"), [7, 8, 9].into_iter());
        let hosts = "me:p%40@127.0.0.1:7,guest:guest@127.0.0.1:8,you:guest@127.0.0.1:9";
        assert_eq!(local, format!("rabbit://{hosts}/v%2Fh?a=b%26c&d=e"));
    }
}
