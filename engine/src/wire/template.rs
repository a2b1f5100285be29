//! A publication rendered once: the `basic.publish` and the content header that a publisher sends
//! with every message of the same route and properties.
//!
//! Rendering a message is then one copy and eight patched bytes, plus those of the identifiers.
//! Invariant: the result is identical to encoding the parts again. The body frames follow it, see
//! [`content`](super::content).

use std::ops::Range;

use crate::wire::content::{open_body, seal_body};
use crate::wire::error::WireError;
use crate::wire::frame::{FrameHeader, FrameKind, write_frame};
use crate::wire::hot::Publish;
use crate::wire::properties::{BODY_SIZE_AT, IdOffsets, Properties};

/// The method frame and header frame of a repeated publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    bytes: Vec<u8>,
    channel: u16,
    header_at: usize,
    body_size_at: usize,
    message_id: Range<usize>,
    correlation_id: Range<usize>,
}

/// Identifiers that differ between messages; `None` keeps the template's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids<'a> {
    /// Replaces `message_id`, with a text of the same length.
    pub message_id: Option<&'a str>,
    /// Replaces `correlation_id`, with a text of the same length.
    pub correlation_id: Option<&'a str>,
}

impl Template {
    /// Renders the frames. An identifier that will be replaced must be present in `properties` with
    /// a text of the final length.
    ///
    /// # Errors
    /// [`WireError::ShortStringTooLong`].
    pub fn new(
        channel: u16,
        publish: &Publish<'_>,
        properties: &Properties,
    ) -> Result<Self, WireError> {
        publish.check()?;
        properties.check()?;
        let mut bytes = Vec::new();
        publish.encode_frame(channel, &mut bytes);
        let header_at = bytes.len();
        let mut ids = IdOffsets::default();
        write_frame(&mut bytes, FrameKind::Header, channel, |out| {
            ids = properties.encode_payload(0, out);
        });
        let range = |at: Option<usize>, text: Option<&str>| {
            let at = at.unwrap_or(0);
            at..at + text.map_or(0, str::len)
        };
        Ok(Self {
            channel,
            header_at,
            body_size_at: header_at + FrameHeader::LEN + BODY_SIZE_AT,
            message_id: range(ids.message_id, properties.message_id()),
            correlation_id: range(ids.correlation_id, properties.correlation_id()),
            bytes,
        })
    }

    /// Appends both frames for a body of `body_len` bytes.
    #[inline]
    pub fn render(&self, body_len: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        self.patch_body_size(&mut out[start..], body_len);
    }

    /// Appends both frames with the given identifiers.
    ///
    /// # Errors
    /// [`WireError::PatchWidth`]; then nothing is appended.
    pub fn render_with(
        &self,
        body_len: u64,
        ids: &Ids<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        self.check_ids(ids)?;
        self.render_fitting(body_len, ids, out);
        Ok(())
    }

    /// Checks that these identifiers are as long as those they replace.
    ///
    /// # Errors
    /// [`WireError::PatchWidth`].
    #[inline]
    pub fn check_ids(&self, ids: &Ids<'_>) -> Result<(), WireError> {
        for (place, text) in self.patches(ids) {
            if let Some(text) = text.filter(|text| text.len() != place.len()) {
                return Err(WireError::PatchWidth { expected: place.len(), found: text.len() });
            }
        }
        Ok(())
    }

    /// Appends both frames with identifiers that were checked, otherwise as
    /// [`Template::render_with`].
    ///
    /// # Panics
    /// If an identifier has another length than the one it replaces, see [`Template::check_ids`].
    #[inline]
    pub fn render_fitting(&self, body_len: u64, ids: &Ids<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        self.render(body_len, out);
        for (place, text) in self.patches(ids) {
            if let Some(text) = text {
                out[start..][place.clone()].copy_from_slice(text.as_bytes());
            }
        }
    }

    #[inline]
    fn patches<'a>(&'a self, ids: &Ids<'a>) -> [(&'a Range<usize>, Option<&'a str>); 2] {
        [(&self.message_id, ids.message_id), (&self.correlation_id, ids.correlation_id)]
    }

    /// Appends both frames and a body that `write` appends, framed for `frame_max`; returns the
    /// body's length. The body is written in place and moved only if it needs several frames.
    ///
    /// # Errors
    /// As [`Template::render_with`]; then nothing is appended and `write` is not called.
    ///
    /// # Panics
    /// If `write` shortens `out`.
    pub fn render_body(
        &self,
        ids: &Ids<'_>,
        frame_max: u32,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<usize, WireError> {
        let start = out.len();
        self.render_with(0, ids, out)?;
        let body = open_body(out);
        write(out);
        let len = seal_body(out, body, self.channel, frame_max);
        self.patch_body_size(&mut out[start..], len as u64);
        Ok(len)
    }

    /// Returns the number of bytes of both frames.
    #[allow(clippy::len_without_is_empty, reason = "a template is never empty")]
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the channel it was rendered for.
    #[inline]
    #[must_use]
    pub fn channel(&self) -> u16 {
        self.channel
    }

    /// Returns the length of the larger of the two frames, to compare with the agreed frame size.
    #[must_use]
    pub fn frame_len_max(&self) -> usize {
        self.header_at.max(self.bytes.len() - self.header_at)
    }

    /// Sets the body size in frames that this template has rendered at the start of `frames`.
    ///
    /// # Panics
    /// If `frames` is shorter than the template.
    #[inline]
    pub fn patch_body_size(&self, frames: &mut [u8], body_len: u64) {
        frames[self.body_size_at..][..8].copy_from_slice(&body_len.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::write_body_frames;

    const ROUTE: Publish<'_> = Publish {
        exchange: "openstack",
        routing_key: "compute",
        mandatory: true,
        immediate: false,
    };

    fn encode_parts(body_len: u64, properties: &Properties) -> Vec<u8> {
        let mut out = Vec::new();
        ROUTE.encode_frame(3, &mut out);
        properties.encode_frame(3, body_len, &mut out);
        out
    }

    #[test]
    fn a_rendered_template_equals_fresh_frames() {
        let properties = Properties::new().with_content_type("application/json").with_priority(0);
        let template = Template::new(3, &ROUTE, &properties).unwrap();
        for body_len in [0, 1, 255, 65_536, u64::MAX] {
            let mut out = b"before".to_vec();
            template.render(body_len, &mut out);
            assert_eq!(out[6..], encode_parts(body_len, &properties));
        }
        assert_eq!(template.len(), encode_parts(0, &properties).len());
    }

    #[test]
    fn identifiers_are_patched_in_place() {
        let properties = |message: &str, correlation: &str| {
            Properties::new()
                .with_reply_to("reply_1")
                .with_message_id(message)
                .with_correlation_id(correlation)
                .with_app_id("app")
        };
        let template = Template::new(3, &ROUTE, &properties("0000", "00000000")).unwrap();
        let mut out = vec![1];
        let ids = Ids { message_id: Some("m123"), correlation_id: Some("c1234567") };
        template.render_with(7, &ids, &mut out).unwrap();
        assert_eq!(out[1..], encode_parts(7, &properties("m123", "c1234567")));

        let mut out = Vec::new();
        let ids = Ids { message_id: None, correlation_id: Some("c1234567") };
        template.render_with(7, &ids, &mut out).unwrap();
        assert_eq!(out, encode_parts(7, &properties("0000", "c1234567")));
    }

    #[test]
    fn an_identifier_of_another_length_is_refused() {
        let template =
            Template::new(3, &ROUTE, &Properties::new().with_message_id("1234")).unwrap();
        let mut out = Vec::new();
        let ids = Ids { message_id: Some("123"), correlation_id: None };
        let refused = template.render_with(7, &ids, &mut out);
        assert_eq!(refused, Err(WireError::PatchWidth { expected: 4, found: 3 }));
        let ids = Ids { message_id: Some("abcd"), correlation_id: Some("1") };
        let refused = template.render_with(7, &ids, &mut out);
        assert_eq!(refused, Err(WireError::PatchWidth { expected: 0, found: 1 }));
        assert!(out.is_empty());
    }

    #[test]
    fn a_body_written_in_place_sets_the_body_size() {
        let properties = Properties::new();
        let template = Template::new(3, &ROUTE, &properties).unwrap();
        for len in [0, 1, 92, 93, 500] {
            let body = vec![b'x'; len];
            let mut out = b"before".to_vec();
            let written = template.render_body(&Ids::default(), 100, &mut out, |out| {
                out.extend_from_slice(&body);
            });
            assert_eq!(written, Ok(len));
            let mut expected = encode_parts(len as u64, &properties);
            write_body_frames(&mut expected, 3, &body, 100);
            assert_eq!(out[6..], expected);
        }
    }

    #[test]
    fn names_longer_than_255_bytes_are_refused() {
        let long = "x".repeat(256);
        let refused = Err(WireError::ShortStringTooLong { len: 256 });
        let publish = Publish { routing_key: &long, ..ROUTE };
        assert_eq!(Template::new(3, &publish, &Properties::new()), refused);
        let properties = Properties::new().with_cluster_id(&long);
        assert_eq!(Template::new(3, &ROUTE, &properties), refused);
    }
}
