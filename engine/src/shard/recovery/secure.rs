//! Secures the socket of a connection: reads the files of TLS and makes the handshake, within the
//! connection's handshake timeout each.

use std::rc::Rc;

use crate::config::Host;
use crate::error::{Error, ErrorKind};
use crate::reactor::{self, Stream};
use crate::shard::connection::state::Conn;
use crate::tls::{TlsConfig, TlsStream};

/// Returns the encrypted stream of a socket that is connected to `host`.
pub(crate) async fn secure<S: Stream>(
    conn: &Rc<Conn>,
    tls: &TlsConfig,
    host: &Host,
    stream: S,
) -> Result<TlsStream<S>, Error> {
    let name = format!("{}:{}", host.host, host.port);
    let of_host = |error: Error| {
        let text = format!("{name}: {error}");
        error.with_text(text)
    };
    let limit = conn.config.handshake_timeout;
    let late = |what: &str| {
        Error::new(ErrorKind::Unreachable, format!("{name}: {what} took longer than {limit:?}"))
    };
    let files = tls.clone();
    let reading = conn.tls_files.run("leveret-tls-files", limit, move || files.prepare());
    let stopping = conn.wait_until(|conn| conn.stopping.get());
    let client = reactor::run_unless(stopping, reading).await.ok_or_else(Error::stopped)?;
    let client = client
        .map_err(|_| late("reading the files of TLS"))?
        .map_err(|error| of_host(error.into_error()))?;
    let stream = TlsStream::new(stream, &client, &host.host);
    let stream = stream.map_err(|error| of_host(error.into_error()))?;
    let stop = async {
        let stopping = conn.wait_until(|conn| conn.stopping.get());
        let _ = reactor::within(limit, stopping).await;
    };
    match reactor::or_shut_down(&stream, stop, stream.shake_hands()).await {
        Some(Ok(())) => {}
        Some(Err(error)) => return Err(of_host(error.into_error())),
        None if conn.stopping.get() => return Err(Error::stopped()),
        None => return Err(late("the TLS handshake")),
    }
    if tls.accepts_any_certificate() {
        conn.log(|| {
            tracing::warn!(
                name: "leveret.engine.tls.not_verified",
                host = name,
                "the broker's certificate is not verified: an attacker who can redirect the \
                 connection can read it and change what it carries"
            );
        });
    }
    conn.log(|| {
        let (version, resumed) = (stream.version(), stream.is_resumed());
        tracing::debug!(
            name: "leveret.engine.tls.secured", host = name, version, resumed, "TLS is agreed"
        );
    });
    Ok(stream)
}
