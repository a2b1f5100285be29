//! Refusals of the broker: closes, returns and nacks, as errors.

use anyhow::{Result, bail};

use super::frames::{self, Fields, Frame};

/// Fails with code and text if this frame closes the channel or the connection.
pub(crate) fn check_close(frame: &Frame<'_>) -> Result<()> {
    if let Some(frames::CONNECTION_CLOSE | frames::CHANNEL_CLOSE) = frame.method_id() {
        bail!("the broker closed the channel or connection: {}", reason(frame));
    }
    Ok(())
}

/// Code and text at the beginning of a close or a return.
fn reason(frame: &Frame<'_>) -> String {
    let mut fields = Fields(&frame.payload[4..]);
    let code = fields.u16().unwrap_or(0);
    format!("{code} {}", String::from_utf8_lossy(fields.short().unwrap_or(b"")))
}

/// Fails if this frame returns or nacks a publication.
pub(crate) fn check_delivered(frame: &Frame<'_>) -> Result<()> {
    match frame.method_id() {
        Some(frames::BASIC_RETURN) => bail!("the broker sent a message back: {}", reason(frame)),
        Some(frames::BASIC_NACK) => bail!("the broker did not take a message (basic.nack)"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::Scanned;
    use super::*;

    #[test]
    fn a_close_is_an_error_with_code_and_text() {
        let mut out = Vec::new();
        frames::method(&mut out, 0, frames::CONNECTION_CLOSE, |out| {
            out.extend_from_slice(&403_u16.to_be_bytes());
            frames::short(out, "ACCESS_REFUSED");
            out.extend_from_slice(&[0; 4]);
        });
        let Scanned::Frame(frame) = frames::scan(&out) else { panic!("a frame") };
        let error = check_close(&frame).expect_err("a close").to_string();
        assert_eq!(error, "the broker closed the channel or connection: 403 ACCESS_REFUSED");
    }

    #[test]
    fn what_gets_nowhere_is_an_error() {
        let refused = |id, payload: &[u8]| {
            let mut out = Vec::new();
            frames::method(&mut out, 1, id, |out| out.extend_from_slice(payload));
            let Scanned::Frame(frame) = frames::scan(&out) else { panic!("a frame") };
            check_delivered(&frame).map_err(|error| error.to_string())
        };
        assert_eq!(
            refused(frames::BASIC_RETURN, b"\x01\x38\x08NO_ROUTE\0\0"),
            Err("the broker sent a message back: 312 NO_ROUTE".to_owned())
        );
        assert!(refused(frames::BASIC_NACK, &[0; 9]).is_err());
        assert_eq!(refused(frames::BASIC_ACK, &[0; 9]), Ok(()));
    }
}
