//! Transport URLs by oslo's rules: `driver://user:pass@host:port[,…]/vhost?option=value`.
//!
//! Invariant: only [`TransportHost::password`] and [`TransportUrl::to_url_string`] with
//! [`Secrets::Shown`] return a password; `Debug`, `Display` and errors do not. Not here: the
//! options of the query (`overrides`).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};

/// Characters that Python's `quote` does not encode.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same for a path.
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// The port of AMQP without TLS, the default of URLs without a port.
pub const AMQP_PORT: u16 = 5672;
/// The port of AMQP with TLS, the default of URLs whose scheme asks for that.
pub(crate) const AMQPS_PORT: u16 = 5671;

/// A parsed transport URL.
///
/// ```
/// use leveret::TransportUrl;
///
/// let url: TransportUrl = "rabbit://me:s%40cret@h1,me:s%40cret@h2:5673/nova".parse().unwrap();
/// assert_eq!(url.hosts().len(), 2);
/// assert_eq!(url.virtual_host(), "nova");
/// assert_eq!(url.to_string(), "rabbit://me:***@h1,me:***@h2:5673/nova");
/// ```
///
/// Two URLs are equal if scheme, virtual host and hosts are; the query does not count, as in oslo.
#[derive(Clone)]
pub struct TransportUrl {
    transport: String,
    virtual_host: String,
    hosts: Vec<TransportHost>,
    query: Vec<(String, String)>,
}

/// One broker of a [`TransportUrl`].
#[derive(Clone, PartialEq, Eq)]
pub struct TransportHost {
    hostname: Option<String>,
    port: Option<u16>,
    username: Option<String>,
    password: Option<Zeroizing<String>>,
}

/// Whether passwords are shown when a URL is formatted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// `***` instead of passwords.
    Masked,
    /// Passwords in clear text, percent-encoded.
    Shown,
}

/// Why text is not a transport URL. Offsets count bytes from its start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    #[error("no scheme: a transport URL begins with a driver's name, as in rabbit://")]
    NoScheme,
    #[error("the character at offset {0} cannot be part of a scheme")]
    Scheme(usize),
    #[error("`://` must follow the scheme at offset {0}")]
    NoAuthority(usize),
    #[error("`#` at offset {0}: percent-encode it as %23")]
    Fragment(usize),
    #[error("host {0} (offset {1}): the bracket of an IPv6 address is not closed")]
    OpenBracket(usize, usize),
    #[error("host {0} (offset {1}): only a port may follow the bracket of an IPv6 address")]
    AfterBracket(usize, usize),
    #[error("host {0} (offset {1}): the port is not a number from 1 to 65535")]
    Port(usize, usize),
    #[error("host {0} (offset {1}): more than one colon; an IPv6 address goes in brackets")]
    Colons(usize, usize),
    #[error("the {0} at offset {1} is not UTF-8 once percent-decoded")]
    NotText(&'static str, usize),
}

impl From<UrlError> for Error {
    fn from(error: UrlError) -> Self {
        Self::new(ErrorKind::InvalidTransportUrl, format!("Invalid transport URL: {error}"))
            .with_cause(error)
    }
}

impl TransportUrl {
    /// The scheme: the driver's name.
    pub fn transport(&self) -> &str {
        &self.transport
    }

    /// The virtual host, `/` if the URL has none.
    pub fn virtual_host(&self) -> &str {
        &self.virtual_host
    }

    /// The brokers in the order of the URL; empty for the default host.
    pub fn hosts(&self) -> &[TransportHost] {
        &self.hosts
    }

    /// The options of the query; values of a repeated key are joined by commas.
    pub fn query(&self) -> impl Iterator<Item = (&str, &str)> {
        self.query.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Formats the URL, percent-encoded, with a slash even if the virtual host is the default.
    pub fn to_url_string(&self, secrets: Secrets) -> String {
        let hosts: Vec<_> = self.hosts.iter().map(|host| host.netloc(secrets)).collect();
        let mut text = format!("{}://{}/", self.transport, hosts.join(","));
        if self.virtual_host != "/" {
            text += &utf8_percent_encode(&self.virtual_host, PATH).to_string();
        }
        let mut separator = '?';
        for (key, value) in &self.query {
            let (key, value) =
                (utf8_percent_encode(key, UNRESERVED), utf8_percent_encode(value, UNRESERVED));
            text += &format!("{separator}{key}={value}");
            separator = '&';
        }
        text
    }
}

impl TransportHost {
    /// A host that is not from a URL.
    pub(crate) fn at(hostname: &str, port: u16) -> Self {
        let (hostname, port) = (Some(hostname.to_owned()), Some(port));
        Self { hostname, port, username: None, password: None }
    }

    /// Host name or address, `localhost` if the URL has none.
    pub fn hostname(&self) -> &str {
        self.hostname.as_deref().unwrap_or("localhost")
    }

    /// Port, if the URL has one.
    pub(crate) fn explicit_port(&self) -> Option<u16> {
        self.port
    }

    /// Port, [`AMQP_PORT`] if the URL has none.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(AMQP_PORT)
    }

    /// User, `guest` if the URL has none.
    pub fn username(&self) -> &str {
        self.username.as_deref().filter(|user| !user.is_empty()).unwrap_or("guest")
    }

    /// Password in clear text, `guest` if the URL has none.
    pub fn password(&self) -> &str {
        let password = self.password.as_ref().map(|password| password.as_str());
        password.filter(|password| !password.is_empty()).unwrap_or("guest")
    }

    fn netloc(&self, secrets: Secrets) -> String {
        let mut text = String::new();
        if let Some(username) = &self.username {
            text += &utf8_percent_encode(username, UNRESERVED).to_string();
        }
        match (&self.password, secrets) {
            (Some(_), Secrets::Masked) => text += ":***",
            (Some(password), Secrets::Shown) => {
                text += &format!(":{}", utf8_percent_encode(password, UNRESERVED));
            }
            (None, _) => {}
        }
        if self.username.is_some() {
            text.push('@');
        }
        match &self.hostname {
            Some(hostname) if hostname.contains(':') || hostname.starts_with('[') => {
                text += &format!("[{hostname}]");
            }
            Some(hostname) => text += hostname,
            None => {}
        }
        match self.port {
            Some(port) => text += &format!(":{port}"),
            // A host of which the URL says nothing; an empty text would be none.
            None if text.is_empty() => text.push(':'),
            None => {}
        }
        text
    }
}

impl FromStr for TransportUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(parse(text)?)
    }
}

fn parse(text: &str) -> Result<TransportUrl, UrlError> {
    let colon = text.find(':').filter(|at| *at > 0).ok_or(UrlError::NoScheme)?;
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if let Some(at) = text[..colon].find(|c| !is_scheme(c)) {
        // A colon after a slash or `@` ends no scheme.
        let is_later = text[..colon].contains(['/', '@']);
        return Err(if is_later { UrlError::NoScheme } else { UrlError::Scheme(at) });
    }
    if let Some(at) = text.find('#') {
        return Err(UrlError::Fragment(at));
    }
    let rest = text[colon..].strip_prefix("://").ok_or(UrlError::NoAuthority(colon))?;
    let start = text.len() - rest.len();
    let netloc_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (netloc, rest) = rest.split_at(netloc_end);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path_start = start + netloc_end;
    let virtual_host = match decode(path.strip_prefix('/').unwrap_or(""), "path", path_start)? {
        path if path.is_empty() => "/".to_owned(),
        path => path.into_owned(),
    };
    Ok(TransportUrl {
        transport: text[..colon].to_ascii_lowercase(),
        virtual_host,
        hosts: parse_hosts(netloc, start)?,
        query: parse_query(query, text.len() - query.len())?,
    })
}

fn parse_hosts(netloc: &str, start: usize) -> Result<Vec<TransportHost>, UrlError> {
    let mut hosts = Vec::new();
    let mut offset = start;
    for text in netloc.split(',') {
        if !text.is_empty() {
            hosts.push(parse_host(text, hosts.len() + 1, offset)?);
        }
        offset += text.len() + 1;
    }
    Ok(hosts)
}

fn parse_host(text: &str, number: usize, offset: usize) -> Result<TransportHost, UrlError> {
    let (credentials, address) = match text.rsplit_once('@') {
        Some((credentials, address)) => (Some(credentials), address),
        None => (None, text),
    };
    let (mut username, mut password) = (None, None);
    if let Some(credentials) = credentials {
        let (user, secret) = match credentials.split_once(':') {
            Some((user, secret)) => (user, Some(secret)),
            None => (credentials, None),
        };
        username = Some(decode(user, "user", offset)?.into_owned());
        let secret = secret.map(|secret| decode(secret, "password", offset + user.len() + 1));
        password = secret.transpose()?.map(Cow::into_owned).map(Zeroizing::new);
    }
    let (hostname, port) = if let Some(rest) = address.strip_prefix('[') {
        let (hostname, rest) = rest.split_once(']').ok_or(UrlError::OpenBracket(number, offset))?;
        match rest.strip_prefix(':') {
            None if !rest.is_empty() => return Err(UrlError::AfterBracket(number, offset)),
            port => (hostname, port),
        }
    } else {
        match address.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err(UrlError::Colons(number, offset)),
            Some((hostname, port)) => (hostname, Some(port)),
            None => (address, None),
        }
    };
    let port = match port {
        None | Some("") => None,
        Some(port) => match port.parse() {
            Ok(port) if port != 0 => Some(port),
            _ => return Err(UrlError::Port(number, offset)),
        },
    };
    let hostname = Some(hostname.to_owned()).filter(|hostname| !hostname.is_empty());
    Ok(TransportHost { hostname, port, username, password })
}

/// Parses keys and values; a key without value is dropped and values of repeated keys are joined,
/// as by oslo's use of `parse_qs`.
fn parse_query(query: &str, start: usize) -> Result<Vec<(String, String)>, UrlError> {
    let mut options: Vec<(String, String)> = Vec::new();
    let mut offset = start;
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = decode(&key.replace('+', " "), "query", offset)?.into_owned();
        let value = decode(&value.replace('+', " "), "query", offset)?.into_owned();
        offset += pair.len() + 1;
        if value.is_empty() {
            continue;
        }
        match options.iter_mut().find(|(known, _)| *known == key) {
            Some((_, values)) => *values = format!("{values},{value}"),
            None => options.push((key, value)),
        }
    }
    Ok(options)
}

fn decode<'a>(text: &'a str, part: &'static str, at: usize) -> Result<Cow<'a, str>, UrlError> {
    percent_decode_str(text).decode_utf8().map_err(|_| UrlError::NotText(part, at))
}

impl PartialEq for TransportUrl {
    fn eq(&self, other: &Self) -> bool {
        (&self.transport, &self.virtual_host, &self.hosts)
            == (&other.transport, &other.virtual_host, &other.hosts)
    }
}

impl Eq for TransportUrl {}

impl fmt::Display for TransportUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_url_string(Secrets::Masked))
    }
}

impl fmt::Debug for TransportUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransportUrl({self})")
    }
}

impl fmt::Debug for TransportHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransportHost({})", self.netloc(Secrets::Masked))
    }
}

#[cfg(test)]
mod tests;
