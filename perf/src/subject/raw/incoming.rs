//! Messages assembled from the frames of one read.
//!
//! Invariant: of other frames, only closes, returns and nacks matter. Not here: the format of
//! messages (`message_style`).

use anyhow::{Context, Result};

use super::client::Client;
use super::frames::{self, Fields, Frame};
use super::refusal::{check_close, check_delivered};

/// A message under assembly. Its buffers are reused.
#[derive(Default)]
pub(crate) struct Incoming {
    pub(crate) correlation_id: Vec<u8>,
    pub(crate) reply_to: Vec<u8>,
    pub(crate) body: Vec<u8>,
    /// Delivery tag of the latest message.
    tag: u64,
    missing: usize,
}

impl Incoming {
    /// Takes all whole frames of the buffer and passes each whole message to `each`. Returns the
    /// delivery tag of the last message, if any.
    pub(crate) fn take_all(
        &mut self,
        client: &mut Client,
        mut each: impl FnMut(&Self) -> Result<()>,
    ) -> Result<Option<u64>> {
        let mut last = None;
        while let Some(frame) = client.next_frame()? {
            if self.take(&frame)? {
                last = Some(self.tag);
                each(self)?;
            }
        }
        Ok(last)
    }

    /// Takes a frame; returns whether the message is now complete.
    fn take(&mut self, frame: &Frame<'_>) -> Result<bool> {
        match frame.kind {
            frames::HEADER => {
                let (id, reply_to) =
                    frames::addresses(frame.payload).context("a short content header")?;
                id.clone_into(&mut self.correlation_id);
                reply_to.clone_into(&mut self.reply_to);
                self.body.clear();
                let size = frame.payload.get(4..12).context("a short content header")?;
                self.missing = Fields(size).u64().unwrap_or(0) as usize;
                Ok(self.missing == 0)
            }
            frames::BODY => {
                self.body.extend_from_slice(frame.payload);
                self.missing = self.missing.saturating_sub(frame.payload.len());
                Ok(self.missing == 0)
            }
            _ if frame.method_id() == Some(frames::BASIC_DELIVER) => {
                let mut fields = Fields(&frame.payload[4..]);
                fields.short().context("a short delivery")?; // the consumer's tag
                self.tag = fields.u64().context("a short delivery")?;
                Ok(false)
            }
            _ => {
                check_close(frame)?;
                check_delivered(frame)?;
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::{Publication, Scanned};
    use super::*;

    fn taken(incoming: &mut Incoming, bytes: &[u8]) -> Vec<bool> {
        let mut rest = bytes;
        let mut whole = Vec::new();
        while let Scanned::Frame(frame) = frames::scan(rest) {
            whole.push(incoming.take(&frame).expect("good frames"));
            rest = &rest[frame.wire_bytes()..];
        }
        whole
    }

    #[test]
    fn a_message_is_whole_with_its_last_frame() {
        let mut bytes = Vec::new();
        frames::method(&mut bytes, 1, frames::BASIC_DELIVER, |out| {
            frames::short(out, "raw");
            out.extend_from_slice(&9_u64.to_be_bytes());
        });
        let mut message = Vec::new();
        let to = Publication { correlation_id: Some("a"), ..Publication::default() };
        frames::publish(&mut message, 1, to, b"hello", frames::FRAME_OVERHEAD + 3);
        let Scanned::Frame(publish) = frames::scan(&message) else { panic!("a frame") };
        bytes.extend_from_slice(&message[publish.wire_bytes()..]);

        let mut incoming = Incoming::default();
        assert_eq!(taken(&mut incoming, &bytes), [false, false, false, true]);
        assert_eq!((incoming.tag, incoming.body.as_slice()), (9, b"hello" as &[u8]));
        assert_eq!(incoming.correlation_id, b"a");
    }

    #[test]
    fn bad_news_between_messages_is_an_error() {
        let mut bytes = Vec::new();
        frames::method(&mut bytes, 1, frames::BASIC_NACK, |out| out.extend_from_slice(&[0; 9]));
        let Scanned::Frame(frame) = frames::scan(&bytes) else { panic!("a frame") };
        assert!(Incoming::default().take(&frame).is_err());
    }
}
