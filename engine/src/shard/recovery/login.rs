//! Provides the credentials of a connection, from the host or from a credentials provider, and
//! renews them at the broker before they expire.

use std::rc::Rc;
use std::time::Duration;

use crate::config::{Host, Login};
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::shard::connection::state::Conn;
use crate::{proto, reactor};

/// How long a provider may take.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause between attempts to get new credentials while the old ones are valid.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Returns the credentials for an attempt to connect to `host`.
pub(crate) async fn credentials(conn: &Conn, host: &Host) -> Result<Credentials, Error> {
    let Some(provider) = conn.config.credentials.clone() else {
        return Ok(Credentials::new(host.user.clone(), host.password.clone()));
    };
    let (name, port) = (host.host.clone(), host.port);
    let asked = move || provider.provide(&name, port);
    let given = conn.provider.run("leveret-credentials", PROVIDER_TIMEOUT, asked).await;
    let failed = |why: String| {
        let text = format!("no credentials for {}:{}: the provider failed: {why}", host.host, port);
        Error::new(ErrorKind::AccessRefused, text)
    };
    given.map_err(|error| failed(error.to_string()))?.map_err(failed)
}

/// Converts credentials to the form the handshake needs.
pub(crate) fn for_handshake(login: Login, credentials: &Credentials) -> proto::Credentials {
    let (user, password) = (credentials.user.clone(), credentials.password.expose());
    match login {
        Login::Plain => proto::Credentials::Plain { user, password },
        Login::AmqPlain => proto::Credentials::AmqPlain { user, password },
        Login::External => proto::Credentials::External,
    }
}

/// Sends new credentials to the broker before the old ones expire, while the socket is up. If that
/// fails until they expire, the broker closes the connection, and it reconnects.
pub(crate) async fn renew(conn: Rc<Conn>, host: Host, expires_in: Option<Duration>) {
    let mut expires_in = expires_in;
    while let Some(valid_for) = expires_in {
        reactor::sleep(valid_for * 4 / 5).await;
        expires_in = loop {
            match credentials(&conn, &host).await {
                Ok(renewed) => {
                    let has_sent = match conn.proto.borrow_mut().as_mut() {
                        Some(proto) => proto.update_secret(&renewed.password.expose()),
                        None => false,
                    };
                    if !has_sent {
                        return;
                    }
                    conn.shared.write_bell.ring();
                    break renewed.expires_in;
                }
                Err(error) => {
                    conn.log(|| {
                        tracing::warn!(
                            name: "leveret.engine.credentials.not_renewed",
                            %error, "credentials that expire could not be renewed yet"
                        );
                    });
                    reactor::sleep(RETRY_PAUSE.min(valid_for / 5)).await;
                }
            }
        };
    }
}
