//! Where a peer listens and how to log in to it.
//!
//! Read from a `rabbit://user:password@host:port/vhost` URL; the first host of several is taken,
//! because a measurement is about one broker. Invariant: the password is in no `Debug` and no
//! error. Not here: TLS.

use std::fmt;
use std::net::SocketAddr;

/// Port of AMQP without TLS.
const AMQP_PORT: u16 = 5672;

/// One peer.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct BrokerAddress {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) vhost: String,
}

impl fmt::Debug for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rabbit://{}:***@{}:{}/{}", self.user, self.host, self.port, self.vhost)
    }
}

/// Why a URL names no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadUrl {
    /// Not `rabbit://` or `amqp://`.
    Scheme,
    /// TLS is asked for.
    Tls,
    /// The port is no number.
    Port,
    /// A `%` that two hexadecimal digits do not follow, or bytes that are no UTF-8.
    Escape,
}

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the URL should begin with rabbit:// or amqp://",
            Self::Tls => "the perf tool measures without TLS; use rabbit:// without ssl options",
            Self::Port => "the port of the URL is no number below 65536",
            Self::Escape => "the URL has a % that is not followed by two hexadecimal digits",
        })
    }
}

impl std::error::Error for BadUrl {}

impl BrokerAddress {
    /// A peer of this process, which takes any login.
    pub(crate) fn local(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
            user: "guest".to_owned(),
            password: "guest".to_owned(),
            vhost: "/".to_owned(),
        }
    }

    /// The first host of `url`, with RabbitMQ's defaults for what is missing.
    pub(crate) fn parse(url: &str) -> Result<Self, BadUrl> {
        let (scheme, rest) = url.split_once("://").ok_or(BadUrl::Scheme)?;
        match scheme {
            "rabbit" | "amqp" => {}
            "amqps" | "rabbits" => return Err(BadUrl::Tls),
            _ => return Err(BadUrl::Scheme),
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if query.split('&').any(|option| matches!(option, "ssl=1" | "ssl=true" | "ssl=True")) {
            return Err(BadUrl::Tls);
        }
        let (hosts, vhost) = rest.split_once('/').unwrap_or((rest, ""));
        let first = hosts.split(',').next().unwrap_or_default();
        let (login, address) = first.rsplit_once('@').unwrap_or(("", first));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) = split_port(address)?;
        let or = |text: String, default: &str| {
            if text.is_empty() { default.to_owned() } else { text }
        };
        Ok(Self {
            host: or(host.to_owned(), "localhost"),
            port,
            user: or(unescape(user)?, "guest"),
            password: or(unescape(password)?, "guest"),
            vhost: or(unescape(vhost)?, "/"),
        })
    }

    /// The URL that leads here, for another program. It holds the password.
    pub(crate) fn url(&self) -> String {
        self.url_with("rabbit")
    }

    /// The same URL under the scheme other clients use.
    #[cfg(feature = "peers")]
    pub(crate) fn amqp_url(&self) -> String {
        self.url_with("amqp")
    }

    fn url_with(&self, scheme: &str) -> String {
        let [user, password, vhost] = [&self.user, &self.password, &self.vhost].map(|t| escape(t));
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{user}:{password}@{host}:{}/{vhost}", self.port)
    }
}

fn split_port(address: &str) -> Result<(&str, u16), BadUrl> {
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or("")),
        None => address.split_once(':').unwrap_or((address, "")),
    };
    let port = if port.is_empty() { Ok(AMQP_PORT) } else { port.parse() };
    Ok((host, port.map_err(|_| BadUrl::Port)?))
}

fn unescape(text: &str) -> Result<String, BadUrl> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok()).ok_or(BadUrl::Escape)?;
        bytes.push(byte);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| BadUrl::Escape)
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
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
        assert_eq!(BrokerAddress::parse(&address.url()), Ok(address));
    }

    #[test]
    fn what_is_missing_has_the_broker_s_defaults() {
        let address = BrokerAddress::parse("rabbit:///").expect("a good URL");
        assert_eq!(address.url(), "rabbit://guest:guest@localhost:5672/%2F");
    }

    #[test]
    fn bad_urls_say_what_is_wrong() {
        assert_eq!(BrokerAddress::parse("http://x"), Err(BadUrl::Scheme));
        assert_eq!(BrokerAddress::parse("amqps://x"), Err(BadUrl::Tls));
        assert_eq!(BrokerAddress::parse("rabbit://x/?ssl=1"), Err(BadUrl::Tls));
        assert_eq!(BrokerAddress::parse("rabbit://x:port"), Err(BadUrl::Port));
        assert_eq!(BrokerAddress::parse("rabbit://%zz@x"), Err(BadUrl::Escape));
    }

    #[test]
    fn no_debug_text_holds_the_password() {
        let address = BrokerAddress::parse("rabbit://me:secret@h").expect("a good URL");
        assert!(!format!("{address:?}").contains("secret"));
    }
}
