//! Remote evaluation: sends Erlang expressions to a node, which evaluates them.
//!
//! `control.erl` runs in the node and listens on its own port. Invariant: one connection per
//! request, so requests of several threads do not wait for each other. Not here: the expressions
//! themselves (`broker`, `operator`).

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// Longer than any expression takes on a busy machine; a stuck node fails the test.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// The control port of a node, and its access token.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    address: Ipv4Addr,
    port: u16,
    token: String,
}

impl Control {
    pub(crate) fn new(address: Ipv4Addr, port: u16) -> Self {
        Self { address, port, token: format!("{:016x}", crate::random()) }
    }

    /// Writes the program the node evaluates at its start; only the owner may read the file.
    pub(crate) fn install(&self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let program = include_str!("control.erl")
            .replace("@TOKEN@", &self.token)
            .replace("@ADDRESS@", &self.address.to_string().replace('.', ", "))
            .replace("@PORT@", &self.port.to_string());
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(path)?.write_all(program.as_bytes())
    }

    /// Evaluates `expressions` (separated by commas, the last ends with a full stop) and returns
    /// the value: a binary unchanged, any other value printed as a term.
    pub(crate) fn eval(&self, expressions: &str) -> io::Result<String> {
        let mut socket = TcpStream::connect((self.address, self.port))?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        let request = format!("{}{expressions}", self.token);
        let length = u32::try_from(request.len()).map_err(io::Error::other)?;
        socket.write_all(&[&length.to_be_bytes(), request.as_bytes()].concat())?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer)?;
        let text = String::from_utf8_lossy(answer.get(4..).unwrap_or_default()).into_owned();
        match text.strip_prefix("ok ") {
            Some(value) => Ok(value.to_owned()),
            None => Err(io::Error::other(format!("{expressions} gave: {text}"))),
        }
    }
}
