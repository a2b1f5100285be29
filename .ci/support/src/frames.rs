//! An AMQP frame reader for proxies: it recognizes messages and their acknowledgements.
//!
//! Invariant: the reader returns whole frames, in order and unchanged. The protocol header at the
//! start of a connection counts as a frame of kind `Other`. Not here: contents, beyond method
//! numbers, delivery tags and the connection name.

/// The sender of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Broker,
}

/// The part a frame plays in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Publish,
    Deliver,
    Header,
    Body,
    /// `basic.ack`, `basic.reject` or `basic.nack`: an acknowledgement, a publisher confirm, or
    /// their negative.
    Ack,
    Other,
}

/// One frame, including its header and end octet.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) sender: Sender,
    pub(crate) channel: u16,
    pub(crate) kind: FrameKind,
    pub(crate) octets: &'a [u8],
}

/// Splits a stream into frames.
#[derive(Debug)]
pub(crate) struct Frames {
    sender: Sender,
    buffer: Vec<u8>,
    begin: usize,
}

/// Length of type, channel and size; the end octet follows the payload.
const HEADER: usize = 7;
const PROTOCOL_HEADER: usize = 8;
/// Offset of a method's arguments, after the class and method numbers.
const METHOD_END: usize = HEADER + 4;

impl Frames {
    pub(crate) const fn new(sender: Sender) -> Self {
        Self { sender, buffer: Vec::new(), begin: 0 }
    }

    pub(crate) fn push(&mut self, octets: &[u8]) {
        self.buffer.drain(..self.begin);
        self.begin = 0;
        self.buffer.extend_from_slice(octets);
    }

    /// Returns the next complete frame.
    pub(crate) fn next(&mut self) -> Option<Frame<'_>> {
        let rest = &self.buffer[self.begin..];
        let length = match rest {
            [b'A', ..] => PROTOCOL_HEADER,
            [_, _, _, a, b, c, d, ..] => HEADER + u32::from_be_bytes([*a, *b, *c, *d]) as usize + 1,
            _ => return None,
        };
        let octets = rest.get(..length)?;
        self.begin += length;
        let channel = u16::from_be_bytes([octets[1], octets[2]]);
        Some(Frame { sender: self.sender, channel, kind: kind_of(octets), octets })
    }
}

/// Returns the class and method of a method frame.
fn method_of(octets: &[u8]) -> Option<(u8, u8)> {
    match octets {
        [1, _, _, _, _, _, _, 0, class, 0, method, ..] => Some((*class, *method)),
        _ => None,
    }
}

fn kind_of(octets: &[u8]) -> FrameKind {
    match (octets[0], method_of(octets)) {
        (2, _) => FrameKind::Header,
        (3, _) => FrameKind::Body,
        (_, Some((60, 40))) => FrameKind::Publish,
        (_, Some((60, 60))) => FrameKind::Deliver,
        (_, Some((60, 80 | 90 | 120))) => FrameKind::Ack,
        _ => FrameKind::Other,
    }
}

impl Frame<'_> {
    /// Returns the purpose of a connection: the last component of the name in
    /// `connection.start-ok`.
    pub(crate) fn purpose(&self) -> Option<String> {
        const KEY: &[u8] = b"connection_nameS";
        if method_of(self.octets) != Some((10, 11)) {
            return None;
        }
        let at = self.octets.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
        let length: [u8; 4] = self.octets.get(at..at + 4)?.try_into().ok()?;
        let name = self.octets.get(at + 4..)?.get(..u32::from_be_bytes(length) as usize)?;
        let name = String::from_utf8_lossy(name);
        name.rsplit(':').next().map(str::to_owned)
    }

    /// Returns the delivery tag of a delivery or an acknowledgement; zero for other frames.
    pub(crate) fn delivery_tag(&self) -> u64 {
        let begin = match self.kind {
            // After the consumer tag.
            FrameKind::Deliver => METHOD_END + 1 + usize::from(self.octets[METHOD_END]),
            FrameKind::Ack => METHOD_END,
            _ => return 0,
        };
        let tag = self.octets.get(begin..begin + 8).and_then(|tag| tag.try_into().ok());
        tag.map_or(0, u64::from_be_bytes)
    }

    /// Whether this is `connection.open-ok`, the end of the handshake.
    pub(crate) fn is_open_ok(&self) -> bool {
        method_of(self.octets) == Some((10, 41))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_they_come_in() {
        let stream = b"AMQP\x00\x00\x09\x01\
            \x01\x00\x05\x00\x00\x00\x04\x00\x3c\x00\x28\xce\
            \x02\x00\x05\x00\x00\x00\x01x\xce\x03\x00\x05\x00\x00\x00\x00\xce\
            \x01\x00\x05\x00\x00\x00\x04\x00\x3c\x00\x50\xce";
        for step in 1..stream.len() {
            let mut frames = Frames::new(Sender::Client);
            let (mut kinds, mut octets) = (Vec::new(), Vec::new());
            for some in stream.chunks(step) {
                frames.push(some);
                while let Some(frame) = frames.next() {
                    kinds.push((frame.kind, frame.octets.len()));
                    octets.extend_from_slice(frame.octets);
                }
            }
            let [header, publish] = [(FrameKind::Other, 8), (FrameKind::Publish, 12)];
            let content = [(FrameKind::Header, 9), (FrameKind::Body, 8), (FrameKind::Ack, 12)];
            assert_eq!(kinds, [&[header, publish], &content[..]].concat());
            assert_eq!(octets, stream);
        }
    }

    #[test]
    fn an_answer_is_known_by_its_number() {
        let of = |octets: &[u8]| {
            let (sender, channel, kind) = (Sender::Client, 1, kind_of(octets));
            Frame { sender, channel, kind, octets }.delivery_tag()
        };
        let ack = b"\x01\x00\x01\x00\x00\x00\x0d\x00\x3c\x00\x50\
            \x00\x00\x00\x00\x00\x00\x01\x02\x00";
        let deliver = b"\x01\x00\x01\x00\x00\x00\x11\x00\x3c\x00\x3c\x02ab\
            \x00\x00\x00\x00\x00\x00\x00\x07\x00";
        assert_eq!((of(ack), of(deliver), of(b"\x08\x00\x00\x00\x00\x00\x00\xce")), (258, 7, 0));
    }

    #[test]
    fn a_connection_says_what_it_is_for() {
        let mut octets = b"\x01\x00\x00\x00\x00\x00\x20\x00\x0a\x00\x0b".to_vec();
        octets.extend_from_slice(b"....connection_nameS\x00\x00\x00\x0cprog:1:serve....\xce");
        let (sender, channel, kind) = (Sender::Client, 0, FrameKind::Other);
        let frame = Frame { sender, channel, kind, octets: &octets };
        assert_eq!(frame.purpose().as_deref(), Some("serve"));
    }
}
