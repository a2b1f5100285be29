//! A socket that encrypts what is written to it, in records that are as full as what is written
//! allows, and decrypts what is read.
//!
//! Invariants: only the handshake, the writer and the close write to the socket, one after the
//! other; the reader never does, so a peer that stops reading does not stop it. What rustls wants
//! to say in answer to a record (a key update) leaves with the next write.

use std::cell::{Cell, RefCell};
use std::io::{self, Read as _, Write as _};
use std::ops::Range;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, HandshakeKind};

use crate::reactor::{AfterWrite, Completion, Stream};
use crate::tls::error::{TlsError, socket_error};
use crate::tls::prepare::Client;

/// Bytes of the first receive buffer; it grows to [`RECEIVE_BYTES_MAX`] when a read fills it.
const RECEIVE_BYTES: usize = 4 << 10;
const RECEIVE_BYTES_MAX: usize = 64 << 10;
const RECEIVE_GROWTH: usize = 4;
/// Bytes that are encrypted at once.
const SEND_BYTES: usize = 256 << 10;
/// The types of TLS records, from `change_cipher_spec` to `application_data` (RFC 8446, 5.1).
const RECORD_TYPES: std::ops::RangeInclusive<u8> = 20..=23;

pub(crate) struct TlsStream<S> {
    stream: S,
    session: RefCell<ClientConnection>,
    received: RefCell<Received>,
    /// Records on their way to the socket, when none are.
    records: Cell<Vec<u8>>,
}

/// Records that were received and not decrypted yet.
#[derive(Default)]
struct Received {
    buffer: Vec<u8>,
    range: Range<usize>,
    /// The socket has ended.
    has_ended: bool,
}

impl<S: Stream> TlsStream<S> {
    /// A stream whose handshake is still to be made, with the broker of this name.
    pub(crate) fn new(stream: S, client: &Client, host: &str) -> Result<Self, TlsError> {
        // A zone belongs to this machine, not to the certificate.
        let name = host.split('%').next().unwrap_or_default();
        let name = ServerName::try_from(name.to_owned());
        let name = name.map_err(|_| TlsError::Name(host.to_owned()))?;
        let mut session =
            ClientConnection::new(client.0.clone(), name).map_err(TlsError::Handshake)?;
        session.set_buffer_limit(Some(SEND_BYTES));
        Ok(Self {
            stream,
            session: RefCell::new(session),
            received: RefCell::default(),
            records: Cell::default(),
        })
    }

    /// Makes the handshake. Without a deadline of its own: [`shutdown`](Stream::shutdown) ends it.
    pub(crate) async fn shake_hands(&self) -> Result<(), TlsError> {
        loop {
            self.send_records(AfterWrite::Continues).await?;
            if !self.session.borrow().is_handshaking() {
                return Ok(());
            }
            if let Err(error) = self.receive_handshake().await {
                // The peer learns why, if it still listens.
                let _ = self.send_records(AfterWrite::Continues).await;
                return Err(error);
            }
        }
    }

    /// The version that was agreed.
    pub(crate) fn version(&self) -> &'static str {
        match self.session.borrow().protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "unknown",
        }
    }

    /// Whether the handshake resumed a session of an earlier one.
    pub(crate) fn is_resumed(&self) -> bool {
        self.session.borrow().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    async fn receive_handshake(&self) -> Result<(), TlsError> {
        let is_first = self.received.borrow().buffer.is_empty();
        self.receive().await?;
        let received = &mut *self.received.borrow_mut();
        if received.has_ended {
            return Err(TlsError::Socket("the peer closed the connection".into()));
        }
        if is_first && !RECORD_TYPES.contains(&received.buffer[0]) {
            return Err(TlsError::NotTls(protocol_of(&received.buffer)));
        }
        let session = &mut *self.session.borrow_mut();
        while session.is_handshaking() && !received.range.is_empty() {
            received.feed(session)?;
        }
        Ok(())
    }

    /// Reads the socket once. What was received before has been used up.
    async fn receive(&self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.received.borrow_mut().buffer);
        if buffer.is_empty() {
            buffer = vec![0; RECEIVE_BYTES];
        }
        let (done, mut buffer) = self.stream.read(buffer).await;
        let filled = *done.as_ref().unwrap_or(&0);
        let has_ended = matches!(done, Ok(0));
        if filled == buffer.len() {
            buffer.resize((filled * RECEIVE_GROWTH).min(RECEIVE_BYTES_MAX), 0);
        }
        *self.received.borrow_mut() = Received { buffer, range: 0..filled, has_ended };
        done.map(drop)
    }

    /// Decrypts into `block` until it is full or nothing is left. Returns `None` if more has to be
    /// received first, and 0 if the peer has closed.
    fn decrypt(&self, block: &mut [u8]) -> io::Result<Option<usize>> {
        let session = &mut *self.session.borrow_mut();
        let received = &mut *self.received.borrow_mut();
        let mut filled = 0;
        let end = loop {
            match session.reader().read(&mut block[filled..]) {
                Ok(0) => break Ok(()),
                Ok(count) => {
                    filled += count;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => break Err(error),
            }
            if received.range.is_empty() && !received.has_ended {
                return Ok((filled > 0).then_some(filled));
            }
            if let Err(error) = received.feed(session) {
                break Err(error);
            }
        };
        // An error is met again by the next read, after what came before it.
        match end {
            Err(error) if filled == 0 => Err(error),
            _ => Ok(Some(filled)),
        }
    }

    /// Encrypts the beginning of `bytes` and sends it. Returns how much that was.
    async fn encrypt(&self, bytes: &[u8], after: AfterWrite) -> io::Result<usize> {
        let taken = self.session.borrow_mut().writer().write(bytes)?;
        let after = if taken < bytes.len() { AfterWrite::Continues } else { after };
        self.send_records(after).await?;
        Ok(taken)
    }

    /// Sends what rustls has to send.
    async fn send_records(&self, after: AfterWrite) -> io::Result<()> {
        let mut records = self.records.take();
        records.clear();
        let session = &self.session;
        while session.borrow().wants_write() {
            session.borrow_mut().write_tls(&mut records)?;
        }
        let mut at = 0;
        let mut result = Ok(());
        while at < records.len() && result.is_ok() {
            let end = records.len();
            let (done, back) = self.stream.write(records, at..end, after).await;
            records = back;
            match done {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => at += written,
                Err(error) => result = Err(error),
            }
        }
        self.records.set(records);
        result
    }
}

impl Received {
    /// Gives the session what it takes of what was received, or the end of the socket.
    fn feed(&mut self, session: &mut ClientConnection) -> io::Result<()> {
        let mut left = &self.buffer[self.range.clone()];
        self.range.start += session.read_tls(&mut left)?;
        session.process_new_packets().map(drop).map_err(socket_error)
    }
}

impl<S: Stream> Stream for TlsStream<S> {
    async fn read(&self, mut block: Vec<u8>) -> Completion<Vec<u8>> {
        loop {
            match self.decrypt(&mut block) {
                Ok(Some(filled)) => return (Ok(filled), block),
                Ok(None) => {}
                Err(error) => return (Err(error), block),
            }
            if let Err(error) = self.receive().await {
                return (Err(error), block);
            }
        }
    }

    async fn write(
        &self,
        buffer: Vec<u8>,
        range: Range<usize>,
        after: AfterWrite,
    ) -> Completion<Vec<u8>> {
        (self.encrypt(&buffer[range], after).await, buffer)
    }

    async fn write_shared(&self, body: Bytes, range: Range<usize>) -> Completion<Bytes> {
        (self.encrypt(&body[range], AfterWrite::Continues).await, body)
    }

    /// Says that nothing more comes (`close_notify`, RFC 8446, 6.1).
    async fn close(&self) {
        self.session.borrow_mut().send_close_notify();
        let _ = self.send_records(AfterWrite::Continues).await;
    }

    fn shutdown(&self) {
        self.stream.shutdown();
    }
}

/// What a peer that does not speak TLS seems to speak.
fn protocol_of(first: &[u8]) -> &'static str {
    match first {
        [b'A', b'M', b'Q', b'P', ..] | [1, 0, 0, ..] => "it answered with AMQP",
        [b'H', b'T', b'T', b'P', ..] => "it answered with HTTP",
        _ => "its first byte begins no record",
    }
}
