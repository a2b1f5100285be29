//! Skips the values of a message and counts what they would cost to decode.
//!
//! Invariants: nothing recurses, and nothing is allocated. The elements of oslo's sets are within
//! an extension and are counted as well. Not here: the limits (`codec::budget`), whether a value
//! can be decoded (`check`).

use crate::codec::budget::{Budget, DEPTH_MAX, OverBudget};
use crate::codec::msgpack::error::ReadError;
use crate::codec::msgpack::token::{Input, Token};
use crate::codec::msgpack::walk::{SETS, walk};
use crate::codec::reserved_keys::RESERVED_PREFIX;

/// Decoding makes up to three bytes of each byte, because numbers are kept as text.
const DECODED_PER_BYTE: usize = 3;

/// Counts the outermost map of a message of `bytes` bytes.
pub(super) fn message_budget(bytes: usize, entries: u32) -> Budget {
    let mut budget = Budget { values: 1, memory: bytes.saturating_mul(DECODED_PER_BYTE) };
    budget.object(entries as usize);
    budget
}

/// Skips one value in the outermost map, counts it and returns its bytes.
pub(super) fn skip_value<'a>(
    input: &mut Input<'a>,
    budget: &mut Budget,
) -> Result<&'a [u8], ReadError> {
    let (start, before) = (*input, *budget);
    let Head { elements, needs_walk } = skip_head(input, budget)?;
    let needs_walk =
        if elements > 0 { skip_elements(input, budget, elements)? } else { needs_walk };
    let value = input.since(start);
    if needs_walk {
        *budget = before;
        count_by_walk(value, budget)?;
    }
    Ok(value)
}

/// What the head of a value says.
struct Head {
    elements: u64,
    /// It must be walked: it may have elements within an extension, or a reserved key.
    needs_walk: bool,
}

/// Skips a scalar or the head of an array or map, and counts it.
#[inline]
fn skip_head(input: &mut Input<'_>, budget: &mut Budget) -> Result<Head, ReadError> {
    if input.skip_scalar()? {
        return Ok(Head { elements: 0, needs_walk: false });
    }
    let (elements, needs_walk) = match input.token()? {
        Token::Array(length) => {
            budget.array(length as usize);
            (length.into(), false)
        }
        Token::Map(length) => {
            budget.object(length as usize);
            (2 * u64::from(length), false)
        }
        Token::Text(text) | Token::Bytes(text) => (0, is_reserved(text)),
        Token::Extension(kind, _) => (0, SETS.contains(&kind)),
        _ => (0, false),
    };
    Ok(Head { elements, needs_walk })
}

/// Skips so many values with what they contain. Returns whether any of them [needs a walk](Head).
fn skip_elements(
    input: &mut Input<'_>,
    budget: &mut Budget,
    elements: u64,
) -> Result<bool, ReadError> {
    // Values left in each open array or map.
    let mut open = [0; DEPTH_MAX as usize];
    open[0] = elements;
    let (mut level, mut any_walk) = (0, false);
    loop {
        open[level] -= 1;
        let Head { elements, needs_walk } = skip_head(input, budget)?;
        any_walk |= needs_walk;
        if elements > 0 {
            level += 1;
            *open.get_mut(level).ok_or(OverBudget::Levels)? = elements;
        }
        while open[level] == 0 {
            let Some(outer) = level.checked_sub(1) else { return Ok(any_walk) };
            level = outer;
        }
    }
}

/// Counts a value that may have elements within extensions, and refuses reserved keys.
fn count_by_walk(value: &[u8], budget: &mut Budget) -> Result<(), ReadError> {
    let counted = walk(value, |token, is_key| {
        match token {
            Token::Array(length) => budget.array(length as usize),
            Token::Map(length) => budget.object(length as usize),
            Token::Text(text) | Token::Bytes(text) if is_key && is_reserved(text) => {
                return Err(OverBudget::ReservedKey.into());
            }
            _ => {}
        }
        Ok(())
    });
    counted.map_err(|error| match error {
        ReadError::TooDeep => OverBudget::Levels.into(),
        other => other,
    })
}

fn is_reserved(text: &[u8]) -> bool {
    text.starts_with(RESERVED_PREFIX.as_bytes())
}
