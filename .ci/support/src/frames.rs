//! AMQP frames as a bystander sees them: enough to tell messages and their answers apart.
//!
//! Invariant: only whole frames come out, in their order, not an octet changed. The protocol header
//! that a client begins with counts as a frame of no kind. Not here: contents beyond a method's
//! number and a connection's name.

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Broker,
}

/// What a frame is to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    Publish,
    Deliver,
    Header,
    Body,
    /// An acknowledgement or confirm, or a refusal of either kind.
    Answer,
    Other,
}

/// One frame, with its header and end.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) sender: Sender,
    pub(crate) channel: u16,
    pub(crate) piece: Piece,
    pub(crate) octets: &'a [u8],
}

/// Cuts a stream into frames.
#[derive(Debug)]
pub(crate) struct Frames {
    sender: Sender,
    buffer: Vec<u8>,
    begin: usize,
}

/// Type, channel and size; the end octet comes last.
const HEADER: usize = 7;
const PROTOCOL_HEADER: usize = 8;
/// Where a method's arguments begin: behind its class and number.
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

    /// The next frame that is whole.
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
        Some(Frame { sender: self.sender, channel, piece: piece_of(octets), octets })
    }
}

/// Class and method of a method frame.
fn method_of(octets: &[u8]) -> Option<(u8, u8)> {
    match octets {
        [1, _, _, _, _, _, _, 0, class, 0, method, ..] => Some((*class, *method)),
        _ => None,
    }
}

fn piece_of(octets: &[u8]) -> Piece {
    match (octets[0], method_of(octets)) {
        (2, _) => Piece::Header,
        (3, _) => Piece::Body,
        (_, Some((60, 40))) => Piece::Publish,
        (_, Some((60, 60))) => Piece::Deliver,
        (_, Some((60, 80 | 90 | 120))) => Piece::Answer,
        _ => Piece::Other,
    }
}

impl Frame<'_> {
    /// What a connection says it is for when it begins: the last word of its name.
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

    /// The number of what is delivered, or answered; zero for others.
    pub(crate) fn delivery_tag(&self) -> u64 {
        let begin = match self.piece {
            // Behind the consumer's tag.
            Piece::Deliver => METHOD_END + 1 + usize::from(self.octets[METHOD_END]),
            Piece::Answer => METHOD_END,
            _ => return 0,
        };
        let tag = self.octets.get(begin..begin + 8).and_then(|tag| tag.try_into().ok());
        tag.map_or(0, u64::from_be_bytes)
    }

    /// Whether the handshake ends with it.
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
            let (mut pieces, mut octets) = (Vec::new(), Vec::new());
            for some in stream.chunks(step) {
                frames.push(some);
                while let Some(frame) = frames.next() {
                    pieces.push((frame.piece, frame.octets.len()));
                    octets.extend_from_slice(frame.octets);
                }
            }
            let [header, publish] = [(Piece::Other, 8), (Piece::Publish, 12)];
            let content = [(Piece::Header, 9), (Piece::Body, 8), (Piece::Answer, 12)];
            assert_eq!(pieces, [&[header, publish], &content[..]].concat());
            assert_eq!(octets, stream);
        }
    }

    #[test]
    fn an_answer_is_known_by_its_number() {
        let of = |octets: &[u8]| {
            let (sender, channel, piece) = (Sender::Client, 1, piece_of(octets));
            Frame { sender, channel, piece, octets }.delivery_tag()
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
        let (sender, channel, piece) = (Sender::Client, 0, Piece::Other);
        let frame = Frame { sender, channel, piece, octets: &octets };
        assert_eq!(frame.purpose().as_deref(), Some("serve"));
    }
}
