//! The sink behind TLS, by the same library as the client's: it decrypts and counts.

use std::any::Any;
use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::{Context, Result};
use leveret_engine::loopback::Sink;
use leveret_support::{Authority, Leaf};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use crate::broker::address::BrokerAddress;

/// Bytes of a read of the socket.
const READ_BYTES: usize = 1 << 20;

/// The sink's side of a connection. A read returns all that one read of the socket brought, as one
/// of a plain socket does, not a record.
struct Decrypting {
    session: ServerConnection,
    socket: BufReader<TcpStream>,
}

impl Read for Decrypting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        loop {
            match self.session.reader().read(&mut buffer[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) => return Ok(filled),
                read => filled += read?,
            }
            if filled > 0 && self.socket.buffer().is_empty() {
                return Ok(filled);
            }
            while self.session.wants_write() {
                self.session.write_tls(self.socket.get_mut())?;
            }
            self.session.read_tls(&mut self.socket)?;
            self.session.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

impl Write for Decrypting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.session.writer().write(bytes)?;
        self.flush()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(self.socket.get_mut())?;
        }
        Ok(())
    }
}

/// Starts a sink with a certificate of its own.
pub(crate) fn start() -> Result<(BrokerAddress, Box<dyn Any>)> {
    let authority = Authority::new();
    let issued = authority.issue("sink", &Leaf::default());
    let certificate = CertificateDer::from_pem_slice(&fs::read(&issued.cert)?)?;
    let key = PrivateKeyDer::from_pem_slice(&fs::read(&issued.key)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let config = Arc::new(config);
    let wrap = move |stream| {
        let session = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        Ok(Decrypting { session, socket: BufReader::with_capacity(READ_BYTES, stream) })
    };
    let sink = Sink::start_over(wrap).context("the sink does not start")?;
    let address =
        BrokerAddress { tls_ca: Some(authority.ca()), ..BrokerAddress::local(sink.addr()) };
    Ok((address, Box::new(sink)))
}
