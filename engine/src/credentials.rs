//! Credentials that change: rotated passwords and tokens that expire.
//!
//! The engine calls a [`CredentialsProvider`] before each attempt to connect, on a separate thread,
//! because the provider may query a vault or read a file. `shard` and `proto` use the result.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

/// A password. `Debug` and errors do not show it. Its memory holds it combined with random bytes,
/// so that a core dump does not show it either; its clear text exists only while a login is
/// written, and is overwritten then.
#[derive(Clone)]
pub struct Secret {
    hidden: Vec<u8>,
    pad: Vec<u8>,
}

impl Secret {
    /// Wraps a password. A `String` is overwritten; a `&str` stays where it is.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let text = Zeroizing::new(text.into());
        let mut pad = vec![0; text.len()];
        fastrand::fill(&mut pad);
        let hidden = text.bytes().zip(&pad).map(|(byte, pad)| byte ^ pad).collect();
        Self { hidden, pad }
    }

    /// The clear text.
    pub(crate) fn expose(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(Vec::with_capacity(self.hidden.len()));
        text.extend(self.hidden.iter().zip(&self.pad).map(|(byte, pad)| byte ^ pad));
        let text = String::from_utf8(std::mem::take(&mut *text));
        Zeroizing::new(text.expect("the bytes of a text"))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// User name and password for one attempt to connect.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Credentials {
    /// User name. RabbitMQ's OAuth 2 plugin ignores it.
    pub user: String,
    /// Password or token.
    pub password: Secret,
    /// How long the credentials are valid from now on; `None` if they do not expire. After four
    /// fifths of that time the engine calls the provider again and sends the new secret to the
    /// broker without a reconnect (`connection.update-secret`, RabbitMQ 3.8 and later).
    pub expires_in: Option<Duration>,
}

impl Credentials {
    /// Creates credentials that do not expire.
    #[must_use]
    pub fn new(user: impl Into<String>, password: Secret) -> Self {
        Self { user: user.into(), password, expires_in: None }
    }

    /// Sets [`Credentials::expires_in`].
    #[must_use]
    pub fn with_expiry(self, expires_in: Duration) -> Self {
        Self { expires_in: Some(expires_in), ..self }
    }
}

type Provide = dyn Fn(&str, u16) -> Result<Credentials, Box<dyn Error + Send + Sync>> + Send + Sync;

/// Provides credentials for each attempt to connect, instead of those of each
/// [`Host`](crate::Host).
///
/// The engine passes the host's name and port to the closure, which may block for 10 s. If it takes
/// longer, fails or panics, that attempt to connect fails and the engine tries again later. Cloning
/// is cheap.
///
/// ```
/// use leveret_engine::{ConnectionConfig, Credentials, CredentialsProvider, Secret};
///
/// let mut config = ConnectionConfig::to("localhost", 5672);
/// config.credentials = Some(CredentialsProvider::new(|_host, _port| {
///     let password = std::fs::read_to_string("/run/secrets/rabbitmq")?;
///     Ok(Credentials::new("nova", Secret::new(password.trim_end())))
/// }));
/// ```
#[derive(Clone)]
pub struct CredentialsProvider(Arc<Provide>);

impl CredentialsProvider {
    /// Creates a provider that calls `provide`.
    #[must_use]
    pub fn new(
        provide: impl Fn(&str, u16) -> Result<Credentials, Box<dyn Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(provide))
    }

    pub(crate) fn provide(&self, host: &str, port: u16) -> Result<Credentials, String> {
        (self.0)(host, port).map_err(|error| error.to_string())
    }
}

impl fmt::Debug for CredentialsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialsProvider")
    }
}
