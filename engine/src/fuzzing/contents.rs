//! Contents on several channels, whose frames are interleaved and arrive in pieces.

use crate::fuzzing::choices::Choices;
use crate::fuzzing::peer::{BODY_MAX, CHANNELS, Peer, TAIL_BYTES, summary};
use crate::proto::ProtoError;
use crate::wire::{ContentHeader, Deliver, FrameKind, PropertiesView, Return, write_frame};

/// A content that is being sent.
enum Sending {
    Nothing,
    Method { is_return: bool },
    Body { is_return: bool, size: u64, body: Vec<u8> },
}

/// Sends contents on several channels, interleaved and in pieces, and expects them to arrive so.
pub fn content(data: &[u8]) {
    let mut choices = Choices(data);
    let cuts = choices.take(4);
    let (mut stream, mut expected, mut error) = (Vec::new(), Vec::new(), None);
    let mut channels = [const { Sending::Nothing }; CHANNELS as usize];
    while !choices.0.is_empty() && stream.len() < 300_000 && error.is_none() {
        let step = choices.byte();
        let channel = 1 + u16::from(step) % CHANNELS;
        let state = &mut channels[usize::from(channel - 1)];
        error = if step >= 250 {
            break_rules(step, channel, state, &mut stream)
        } else {
            send(&mut choices, channel, state, &mut stream, &mut expected)
        };
    }
    let mut peer = Peer::open();
    peer.receive_cut(&stream, cuts);
    assert_eq!((peer.seen, peer.error), (expected, error));
}

/// Appends the next frame of a content, and what is expected when it is complete.
fn send(
    choices: &mut Choices<'_>,
    channel: u16,
    state: &mut Sending,
    stream: &mut Vec<u8>,
    expected: &mut Vec<String>,
) -> Option<ProtoError> {
    *state = match std::mem::replace(state, Sending::Nothing) {
        Sending::Nothing => {
            let is_return = choices.byte() > 200;
            write_content_method(is_return, channel, stream);
            Sending::Method { is_return }
        }
        Sending::Method { is_return } => {
            let size = match choices.byte() {
                selected @ 0..200 => u64::from(selected) * u64::from(choices.byte()),
                200..254 => u64::from(choices.short()) << (choices.byte() % 17),
                _ => 1 << 33,
            };
            let properties = PropertiesView::default();
            ContentHeader { body_size: size, properties }.encode_frame(channel, stream);
            if size > 1 << 32 {
                return Some(ProtoError::BodyTooLarge { size, max: BODY_MAX });
            }
            Sending::Body { is_return, size, body: Vec::new() }
        }
        Sending::Body { is_return, size, mut body } => {
            let left = usize::try_from(size).unwrap_or(usize::MAX) - body.len();
            let len = usize::from(choices.short() % 4089).min(left);
            let next = stream.len();
            let piece: Vec<u8> = (next..next + len).map(|at| (at ^ at >> 8) as u8).collect();
            write_frame(stream, FrameKind::Body, channel, |out| out.extend_from_slice(&piece));
            body.extend_from_slice(&piece);
            Sending::Body { is_return, size, body }
        }
    };
    if let Sending::Body { is_return, size, body } = state
        && *size == body.len() as u64
    {
        let kept = match *size > BODY_MAX {
            false => &body[..],
            true if *is_return => &[],
            true => &body[body.len() - TAIL_BYTES..],
        };
        let dropped = (*size > BODY_MAX).then(|| (*size, crc32fast::hash(body)));
        expected.push(summary(*is_return, channel, kept, dropped));
        *state = Sending::Nothing;
    }
    None
}

pub(super) fn write_content_method(is_return: bool, channel: u16, stream: &mut Vec<u8>) {
    if is_return {
        Return { reply_code: 312, ..Return::default() }.encode_frame(channel, stream);
    } else {
        Deliver { delivery_tag: 1, ..Deliver::default() }.encode_frame(channel, stream);
    }
}

/// Appends a frame that may not follow, and returns the error.
fn break_rules(
    step: u8,
    channel: u16,
    state: &Sending,
    stream: &mut Vec<u8>,
) -> Option<ProtoError> {
    let unexpected = |what| Some(ProtoError::Unexpected { what, channel });
    match (step % 3, state) {
        (0, Sending::Method { .. } | Sending::Body { .. }) => {
            write_content_method(false, channel, stream);
            unexpected("method inside a content")
        }
        (1, Sending::Nothing | Sending::Body { .. }) => {
            ContentHeader::default().encode_frame(channel, stream);
            unexpected("content header")
        }
        (2, Sending::Nothing | Sending::Method { .. }) => {
            write_frame(stream, FrameKind::Body, channel, |_| {});
            unexpected("body frame")
        }
        (2, Sending::Body { size, body, .. }) => {
            let left = usize::try_from(*size).unwrap_or(usize::MAX) - body.len();
            let more = vec![0; left.checked_add(1).filter(|more| *more <= 4088)?];
            write_frame(stream, FrameKind::Body, channel, |out| out.extend_from_slice(&more));
            Some(ProtoError::BodyOverrun { channel })
        }
        _ => None,
    }
}
