//! Visits the tokens of one value, including those within oslo's sets.
//!
//! Invariant: nothing recurses, and nothing is allocated.

use crate::codec::budget::DEPTH_MAX;
use crate::codec::msgpack::error::ReadError;
use crate::codec::msgpack::token::{Input, Token};

/// The extension types that are sets. Their elements are decoded as those of arrays.
pub(super) const SETS: [i8; 2] = [4, 5];

/// An array or a map whose elements are being visited.
#[derive(Clone, Copy, Default)]
struct Container<'a> {
    left: u64,
    is_map: bool,
    /// For a set: the input after its extension.
    outer: Option<Input<'a>>,
}

/// Calls `visit` with each token of a value, and with whether the token is a key.
pub(super) fn walk<'a>(
    value: &'a [u8],
    mut visit: impl FnMut(Token<'a>, bool) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut input = Input::new(value);
    let mut open = [Container::default(); DEPTH_MAX as usize];
    let (mut levels, mut container) = (0_usize, Container { left: 1, ..Container::default() });
    loop {
        while container.left == 0 {
            if levels == 0 || container.outer.is_some() {
                input.finish()?;
            }
            input = container.outer.unwrap_or(input);
            let Some(level) = levels.checked_sub(1) else { return Ok(()) };
            (levels, container) = (level, open[level]);
        }
        let is_key = container.is_map && container.left.is_multiple_of(2);
        container.left -= 1;
        let token = input.token()?;
        visit(token, is_key)?;
        let entered = match token {
            Token::Array(length) => Container { left: length.into(), ..Container::default() },
            Token::Map(length) => {
                Container { left: 2 * u64::from(length), is_map: true, outer: None }
            }
            Token::Extension(kind, payload) if SETS.contains(&kind) && !is_key => {
                let mut elements = Input::new(payload);
                let array = elements.token()?;
                let Token::Array(length) = array else { return Err(ReadError::Extension(kind)) };
                visit(array, false)?;
                let outer = Some(std::mem::replace(&mut input, elements));
                Container { left: length.into(), is_map: false, outer }
            }
            _ => continue,
        };
        *open.get_mut(levels).ok_or(ReadError::TooDeep)? = container;
        (levels, container) = (levels + 1, entered);
    }
}
