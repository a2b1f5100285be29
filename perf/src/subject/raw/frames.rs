//! AMQP 0-9-1 frames rendered and read by hand, as far as the baseline needs them.
//!
//! Independent of Leveret's codec on purpose: the baseline must not share its mistakes. Invariant:
//! every frame ends with the end octet (AMQP 4.2.3). Not here: sockets.

/// Frame types (AMQP 4.2.3).
pub(crate) const METHOD: u8 = 1;
pub(crate) const HEADER: u8 = 2;
pub(crate) const BODY: u8 = 3;
const END: u8 = 0xCE;

/// Bytes of a frame that are not its payload: type, channel, size, end octet.
pub(crate) const FRAME_OVERHEAD: usize = 8;

/// Class and method ids.
pub(crate) type MethodId = (u16, u16);
pub(crate) const CONNECTION_START: MethodId = (10, 10);
pub(crate) const CONNECTION_START_OK: MethodId = (10, 11);
pub(crate) const CONNECTION_TUNE: MethodId = (10, 30);
pub(crate) const CONNECTION_TUNE_OK: MethodId = (10, 31);
pub(crate) const CONNECTION_OPEN: MethodId = (10, 40);
pub(crate) const CONNECTION_OPEN_OK: MethodId = (10, 41);
pub(crate) const CONNECTION_CLOSE: MethodId = (10, 50);
pub(crate) const CONNECTION_CLOSE_OK: MethodId = (10, 51);
pub(crate) const CHANNEL_OPEN: MethodId = (20, 10);
pub(crate) const CHANNEL_OPEN_OK: MethodId = (20, 11);
pub(crate) const CHANNEL_CLOSE: MethodId = (20, 40);
pub(crate) const EXCHANGE_DECLARE: MethodId = (40, 10);
pub(crate) const EXCHANGE_DECLARE_OK: MethodId = (40, 11);
pub(crate) const EXCHANGE_DELETE: MethodId = (40, 20);
pub(crate) const EXCHANGE_DELETE_OK: MethodId = (40, 21);
pub(crate) const QUEUE_DECLARE: MethodId = (50, 10);
pub(crate) const QUEUE_DECLARE_OK: MethodId = (50, 11);
pub(crate) const QUEUE_BIND: MethodId = (50, 20);
pub(crate) const QUEUE_BIND_OK: MethodId = (50, 21);
pub(crate) const QUEUE_DELETE: MethodId = (50, 40);
pub(crate) const QUEUE_DELETE_OK: MethodId = (50, 41);
pub(crate) const BASIC_CONSUME: MethodId = (60, 20);
pub(crate) const BASIC_CONSUME_OK: MethodId = (60, 21);
pub(crate) const BASIC_PUBLISH: MethodId = (60, 40);
pub(crate) const BASIC_RETURN: MethodId = (60, 50);
pub(crate) const BASIC_DELIVER: MethodId = (60, 60);
pub(crate) const BASIC_ACK: MethodId = (60, 80);
pub(crate) const BASIC_NACK: MethodId = (60, 120);
pub(crate) const CONFIRM_SELECT: MethodId = (85, 10);
pub(crate) const CONFIRM_SELECT_OK: MethodId = (85, 11);

/// Property flags of the content header (AMQP 4.2.6.1).
const CORRELATION_ID: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;
const EXPIRATION: u16 = 1 << 8;
/// Content type, content encoding, headers, delivery mode and priority, which come first.
const DESCRIPTION: u16 = 0b1_1111 << 11;
/// Delivery mode 2 (persistent) and priority 0.
const PERSISTENT_UNURGENT: [u8; 2] = [2, 0];

/// Appends one frame; `payload` writes its payload.
pub(crate) fn frame(out: &mut Vec<u8>, kind: u8, channel: u16, payload: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    out.extend_from_slice(&channel.to_be_bytes());
    let size_at = out.len();
    out.extend_from_slice(&[0; 4]);
    payload(out);
    let size = (out.len() - size_at - 4) as u32;
    out[size_at..size_at + 4].copy_from_slice(&size.to_be_bytes());
    out.push(END);
}

/// Appends one method frame; `arguments` writes the arguments of the method.
pub(crate) fn method(
    out: &mut Vec<u8>,
    channel: u16,
    (class, method): MethodId,
    arguments: impl FnOnce(&mut Vec<u8>),
) {
    frame(out, METHOD, channel, |out| {
        out.extend_from_slice(&class.to_be_bytes());
        out.extend_from_slice(&method.to_be_bytes());
        arguments(out);
    });
}

/// Appends a short string of less than 256 bytes.
pub(crate) fn short(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).expect("names of this tool are short"));
    out.extend_from_slice(text.as_bytes());
}

/// Appends a long string or a table: a length and the bytes.
pub(crate) fn long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A publication's address and properties.
#[derive(Clone, Copy, Default)]
pub(crate) struct Publication<'a> {
    pub(crate) exchange: &'a str,
    pub(crate) key: &'a str,
    /// The broker returns it if no queue takes it.
    pub(crate) is_mandatory: bool,
    /// Has the properties of oslo.messaging's messages: JSON in UTF-8, no headers, persistent,
    /// priority 0.
    pub(crate) is_described: bool,
    pub(crate) correlation_id: Option<&'a str>,
    pub(crate) reply_to: Option<&'a str>,
    /// Milliseconds after which the broker drops it.
    pub(crate) expiration: Option<&'a str>,
}

/// Appends the frames of one message: method, content header and body frames.
pub(crate) fn publish(
    out: &mut Vec<u8>,
    channel: u16,
    to: Publication<'_>,
    body: &[u8],
    frame_max: usize,
) {
    method(out, channel, BASIC_PUBLISH, |out| {
        out.extend_from_slice(&[0, 0]);
        short(out, to.exchange);
        short(out, to.key);
        out.push(u8::from(to.is_mandatory));
    });
    frame(out, HEADER, channel, |out| {
        out.extend_from_slice(&[0, 60, 0, 0]);
        out.extend_from_slice(&(body.len() as u64).to_be_bytes());
        properties(out, to);
    });
    for part in body.chunks(frame_max - FRAME_OVERHEAD) {
        frame(out, BODY, channel, |out| out.extend_from_slice(part));
    }
}

/// Appends the flags of the properties, and their values in the order of the flags.
fn properties(out: &mut Vec<u8>, to: Publication<'_>) {
    let texts =
        [(CORRELATION_ID, to.correlation_id), (REPLY_TO, to.reply_to), (EXPIRATION, to.expiration)];
    let described = if to.is_described { DESCRIPTION } else { 0 };
    let flag = |(flag, text): &(u16, Option<&str>)| if text.is_some() { *flag } else { 0 };
    let flags = texts.iter().map(flag).fold(described, |all, one| all | one);
    out.extend_from_slice(&flags.to_be_bytes());
    if to.is_described {
        short(out, "application/json");
        short(out, "utf-8");
        long(out, b"");
        out.extend_from_slice(&PERSISTENT_UNURGENT);
    }
    texts.into_iter().filter_map(|(_, text)| text).for_each(|text| short(out, text));
}

/// Appends an acknowledgement of the delivery `tag` and all before it.
pub(crate) fn ack(out: &mut Vec<u8>, channel: u16, tag: u64) {
    method(out, channel, BASIC_ACK, |out| {
        out.extend_from_slice(&tag.to_be_bytes());
        out.push(1); // multiple
    });
}

/// A frame in a receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) channel: u16,
    pub(crate) payload: &'a [u8],
}

/// What a receive buffer begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scanned<'a> {
    /// A whole frame.
    Frame(Frame<'a>),
    /// An incomplete frame.
    Incomplete,
    /// Bytes that are no frame.
    Invalid,
}

impl Frame<'_> {
    /// Bytes it took on the wire.
    pub(crate) fn wire_bytes(&self) -> usize {
        self.payload.len() + FRAME_OVERHEAD
    }

    /// Class and method, if this is a method frame.
    pub(crate) fn method_id(&self) -> Option<MethodId> {
        match *self.payload {
            [a, b, c, d, ..] if self.kind == METHOD => {
                Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
            }
            _ => None,
        }
    }
}

/// Reads the frame at the head of `bytes`.
pub(crate) fn scan(bytes: &[u8]) -> Scanned<'_> {
    let Some((&[kind, c0, c1, s0, s1, s2, s3], rest)) = bytes.split_first_chunk::<7>() else {
        return Scanned::Incomplete;
    };
    let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
    match rest.get(size) {
        None => Scanned::Incomplete,
        Some(&END) => {
            let channel = u16::from_be_bytes([c0, c1]);
            Scanned::Frame(Frame { kind, channel, payload: &rest[..size] })
        }
        Some(_) => Scanned::Invalid,
    }
}

/// Reads fields from the front of a payload; `None` at its end.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.bytes(2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.bytes(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from(self.u32()?) << 32 | u64::from(self.u32()?))
    }

    pub(crate) fn short(&mut self) -> Option<&'a [u8]> {
        let size = self.u8()?;
        self.bytes(size.into())
    }

    pub(crate) fn long(&mut self) -> Option<&'a [u8]> {
        let size = self.u32()?;
        self.bytes(size as usize)
    }
}

/// The correlation id and reply-to of a content header's payload, empty where absent.
pub(crate) fn addresses(header: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = Fields(header);
    fields.bytes(12)?;
    let flags = fields.u16()?;
    let only = flags & !(CORRELATION_ID | REPLY_TO) == 0;
    // The baseline's own server and client send no other property with these two.
    let correlation_id =
        if only && flags & CORRELATION_ID != 0 { fields.short()? } else { b"" as &[u8] };
    let reply_to = if only && flags & REPLY_TO != 0 { fields.short()? } else { b"" as &[u8] };
    Some((correlation_id, reply_to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_is_three_frames() {
        let mut out = Vec::new();
        publish(&mut out, 1, Publication { key: "q", ..Publication::default() }, b"hi", 4096);
        let expected: &[u8] = &[
            1, 0, 1, 0, 0, 0, 10, 0, 60, 0, 40, 0, 0, 0, 1, b'q', 0, 0xCE, //
            2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0xCE, //
            3, 0, 1, 0, 0, 0, 2, b'h', b'i', 0xCE,
        ];
        assert_eq!(out, expected);
    }

    /// The content header of a call of oslo.messaging.
    #[test]
    fn a_described_message_has_oslo_s_content_header() {
        let mut out = Vec::new();
        let to = Publication {
            is_mandatory: true,
            is_described: true,
            expiration: Some("3000"),
            ..Publication::default()
        };
        publish(&mut out, 1, to, &[b'x'; 0x127], 4096);
        let Scanned::Frame(method) = scan(&out) else { panic!("a frame") };
        assert_eq!(method.payload.last(), Some(&1), "the bit of mandatory");
        let Scanned::Frame(header) = scan(&out[method.wire_bytes()..]) else { panic!("a frame") };
        let mut expected = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x27, 0xF9, 0x00];
        expected.extend_from_slice(b"\x10application/json\x05utf-8\0\0\0\0\x02\0\x043000");
        assert_eq!(header.payload, expected);
    }

    #[test]
    fn an_ack_covers_all_up_to_its_tag() {
        let mut out = Vec::new();
        ack(&mut out, 1, 7);
        let Scanned::Frame(frame) = scan(&out) else { panic!("a frame") };
        assert_eq!(frame.payload, [0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 7, 1]);
    }

    #[test]
    fn a_long_body_is_cut_at_frame_max() {
        let mut out = Vec::new();
        publish(&mut out, 1, Publication::default(), &[7; 20], FRAME_OVERHEAD + 8);
        let mut sizes = Vec::new();
        let mut rest = out.as_slice();
        while let Scanned::Frame(frame) = scan(rest) {
            if frame.kind == BODY {
                sizes.push(frame.payload.len());
            }
            rest = &rest[frame.wire_bytes()..];
        }
        assert_eq!((sizes, rest.len()), (vec![8, 8, 4], 0));
    }

    #[test]
    fn addresses_come_back_as_they_were_written() {
        let mut out = Vec::new();
        let to = Publication {
            reply_to: Some("r"),
            correlation_id: Some("42"),
            ..Publication::default()
        };
        publish(&mut out, 1, to, b"x", 4096);
        let Scanned::Frame(method) = scan(&out) else { panic!("a frame") };
        let Scanned::Frame(header) = scan(&out[method.wire_bytes()..]) else { panic!("a frame") };
        assert_eq!(addresses(header.payload), Some((b"42" as &[u8], b"r" as &[u8])));
    }

    #[test]
    fn half_a_frame_asks_for_more_and_a_wrong_end_is_garbage() {
        let mut out = Vec::new();
        frame(&mut out, BODY, 1, |out| out.extend_from_slice(b"abc"));
        for n in 0..out.len() {
            assert_eq!(scan(&out[..n]), Scanned::Incomplete);
        }
        *out.last_mut().expect("not empty") = 0;
        assert_eq!(scan(&out), Scanned::Invalid);
    }
}
