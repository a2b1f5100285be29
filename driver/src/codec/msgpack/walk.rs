//! Visits the tokens of one value, those within oslo's sets included.
//!
//! Invariant: nothing recurses, and nothing is allocated.

use crate::codec::budget::DEPTH_MAX;
use crate::codec::msgpack::error::ReadError;
use crate::codec::msgpack::token::{Input, Token};

/// The extension types that are sets, whose elements are decoded as those of arrays.
pub(super) const SETS: [i8; 2] = [4, 5];

/// An array or a map whose elements are being passed over.
#[derive(Clone, Copy, Default)]
struct Frame<'a> {
    left: u64,
    is_map: bool,
    /// What follows the extension that it is in.
    outer: Option<Input<'a>>,
}

/// Calls `visit` with each token of a value, those within sets included, and whether it is a key.
pub(super) fn walk<'a>(
    value: &'a [u8],
    mut visit: impl FnMut(Token<'a>, bool) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut input = Input::new(value);
    let mut frames = [Frame::default(); DEPTH_MAX as usize];
    let (mut levels, mut frame) = (0_usize, Frame { left: 1, ..Frame::default() });
    loop {
        while frame.left == 0 {
            if levels == 0 || frame.outer.is_some() {
                input.finish()?;
            }
            input = frame.outer.unwrap_or(input);
            let Some(level) = levels.checked_sub(1) else { return Ok(()) };
            (levels, frame) = (level, frames[level]);
        }
        let is_key = frame.is_map && frame.left.is_multiple_of(2);
        frame.left -= 1;
        let token = input.token()?;
        visit(token, is_key)?;
        let entered = match token {
            Token::Array(length) => Frame { left: length.into(), ..Frame::default() },
            Token::Map(length) => Frame { left: 2 * u64::from(length), is_map: true, outer: None },
            Token::Extension(kind, payload) if SETS.contains(&kind) && !is_key => {
                let mut elements = Input::new(payload);
                let array = elements.token()?;
                let Token::Array(length) = array else { return Err(ReadError::Extension(kind)) };
                visit(array, false)?;
                let outer = Some(std::mem::replace(&mut input, elements));
                Frame { left: length.into(), is_map: false, outer }
            }
            _ => continue,
        };
        *frames.get_mut(levels).ok_or(ReadError::TooDeep)? = frame;
        (levels, frame) = (levels + 1, entered);
    }
}
