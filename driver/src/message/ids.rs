//! Message ids: 32 hex digits that a peer cannot guess.
//!
//! The first half is 64 random bits from the operating system, the same for all ids of a transport;
//! the second half is a number scrambled by a keyed bijection. So an id costs no allocation and no
//! system call, the ids of one transport are distinct, and the transport can decode the number from
//! its own ids: it matches a reply to its call this way. oslo uses random UUIDs in the same format
//! and treats them as opaque.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Hex32([u8; 32]);

impl Hex32 {
    /// Returns the digits as text.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hex digits are ASCII")
    }

    /// Returns the digits as ASCII bytes.
    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Creates an id from its digits. Returns `None` unless they are 32 lower-case hex digits.
    pub(crate) fn from_digits(digits: &[u8]) -> Option<Self> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let digits: [u8; 32] = digits.try_into().ok()?;
        // No early exit, so that the compiler vectorizes the loop.
        let are_hex = digits.iter().fold(true, |so_far, byte| so_far & is_hex(*byte));
        are_hex.then_some(Self(digits))
    }

    /// Returns the number that the digits encode.
    pub(crate) fn to_bits(self) -> u128 {
        self.0.chunks_exact(8).fold(0, |bits, digits| {
            let digits = digits.try_into().expect("chunks of eight");
            bits << 32 | u128::from(parse_digits(u64::from_be_bytes(digits)))
        })
    }

    fn from_halves(halves: [u64; 2]) -> Self {
        let mut digits = [0; 32];
        let values = halves.into_iter().flat_map(|half| [(half >> 32) as u32, half as u32]);
        for (value, text) in values.zip(digits.chunks_exact_mut(8)) {
            text.copy_from_slice(&format_digits(value).to_be_bytes());
        }
        Self(digits)
    }

    fn halves(self) -> [u64; 2] {
        let bits = self.to_bits();
        [(bits >> 64) as u64, bits as u64]
    }
}

/// Returns a word of eight equal octets.
const fn repeat_octet(octet: u8) -> u64 {
    u64::from_ne_bytes([octet; 8])
}

/// Formats a number as eight hex digits in one word. Each message has up to three ids, and
/// formatting digit by digit costs more than the rest of making an id.
fn format_digits(value: u32) -> u64 {
    let x = u64::from(value);
    // Spreads halves, then quarters, then single digits into octets of their own.
    let x = (x << 16 | x) & 0x0000_ffff_0000_ffff;
    let x = (x << 8 | x) & 0x00ff_00ff_00ff_00ff;
    let x = (x << 4 | x) & repeat_octet(0x0f);
    let is_letter = ((x + repeat_octet(6)) >> 4) & repeat_octet(1);
    x + repeat_octet(b'0') + is_letter * u64::from(b'a' - b'0' - 10)
}

/// Parses eight lower-case hex digits in one word.
fn parse_digits(digits: u64) -> u32 {
    // In ASCII, the letters have bit 6 set and the decimal digits do not.
    let is_letter = (digits >> 6) & repeat_octet(1);
    let x = (digits & repeat_octet(0x0f)) + is_letter * 9;
    let x = (x >> 4 | x) & 0x00ff_00ff_00ff_00ff;
    let x = (x >> 8 | x) & 0x0000_ffff_0000_ffff;
    (x >> 16 | x) as u32
}

impl fmt::Debug for Hex32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error of an operating system without random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bits")]
pub(crate) struct NoEntropy;

/// Returns 64 random bits of the operating system.
fn random_bits() -> Result<u64, NoEntropy> {
    let mut bits = [0; 8];
    getrandom::fill(&mut bits).map_err(|_| NoEntropy)?;
    Ok(u64::from_le_bytes(bits))
}

/// Creates the ids of a transport.
#[derive(Debug)]
pub(crate) struct IdSource {
    call_prefix: u64,
    unique_prefix: u64,
    keys: [u64; 2],
    next_unique: AtomicU64,
}

impl IdSource {
    /// Creates a source with random prefixes and keys.
    pub(crate) fn new() -> Result<Self, NoEntropy> {
        Ok(Self {
            call_prefix: random_bits()?,
            unique_prefix: random_bits()?,
            keys: [random_bits()?, random_bits()?],
            next_unique: AtomicU64::new(0),
        })
    }

    /// Returns the id of the call in `slot`. The slot number includes its generation, so ids are
    /// not reused with the slot.
    pub(crate) fn call_id(&self, slot: u64) -> Hex32 {
        Hex32::from_halves([self.call_prefix, scramble(slot, self.keys)])
    }

    /// Returns the slot for which [`Self::call_id`] made this id; `None` for the id of another
    /// source.
    pub(crate) fn slot_of(&self, id: &Hex32) -> Option<u64> {
        let [prefix, scrambled] = id.halves();
        (prefix == self.call_prefix).then(|| unscramble(scrambled, self.keys))
    }

    /// Returns a new id.
    pub(crate) fn unique_id(&self) -> Hex32 {
        let count = self.next_unique.fetch_add(1, Ordering::Relaxed);
        Hex32::from_halves([self.unique_prefix, scramble(count, self.keys)])
    }
}

/// Multipliers of the splitmix64 finalizer and their inverses modulo 2^64.
const MIX: [u64; 2] = [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb];
const UNMIX: [u64; 2] = [inverse(MIX[0]), inverse(MIX[1])];

/// Returns the inverse of an odd number modulo 2^64, by Newton's iteration.
const fn inverse(odd: u64) -> u64 {
    let mut guess = odd;
    let mut round = 0;
    while round < 6 {
        guess = guess.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(guess)));
        round += 1;
    }
    guess
}

/// Maps 64 bits by a bijection under two keys: splitmix64's finalizer between two additions.
fn scramble(value: u64, keys: [u64; 2]) -> u64 {
    let mut x = value.wrapping_add(keys[0]);
    x = (x ^ (x >> 30)).wrapping_mul(MIX[0]);
    x = (x ^ (x >> 27)).wrapping_mul(MIX[1]);
    (x ^ (x >> 31)).wrapping_add(keys[1])
}

/// Inverts [`scramble`].
fn unscramble(value: u64, keys: [u64; 2]) -> u64 {
    let mut x = unshift(value.wrapping_sub(keys[1]), 31);
    x = unshift(x.wrapping_mul(UNMIX[1]), 27);
    x = unshift(x.wrapping_mul(UNMIX[0]), 30);
    x.wrapping_sub(keys[0])
}

/// Inverts `x ^= x >> shift`.
fn unshift(value: u64, shift: u32) -> u64 {
    let mut x = value;
    let mut known = shift;
    while known < 64 {
        x = value ^ (x >> shift);
        known += shift;
    }
    x
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_call_id_decodes_to_its_slot(slot: u64) {
            let source = IdSource::new().unwrap();
            let id = source.call_id(slot);
            prop_assert_eq!(source.slot_of(&id), Some(slot));
            prop_assert_eq!(Hex32::from_digits(id.as_str().as_bytes()), Some(id));
            prop_assert_eq!(IdSource::new().unwrap().slot_of(&id), None, "another source's id");
        }
    }

    proptest! {
        #[test]
        fn digits_are_those_of_std_formatting(bits: u128) {
            let id = Hex32::from_halves([(bits >> 64) as u64, bits as u64]);
            prop_assert_eq!(id.as_str(), format!("{bits:032x}"));
            prop_assert_eq!(id.to_bits(), bits);
        }
    }

    #[test]
    fn unique_ids_differ() {
        let source = IdSource::new().unwrap();
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| source.unique_id()).collect();
        assert_eq!(ids.len(), 1000);
    }

    #[test]
    fn only_32_lower_case_hex_digits_are_an_id() {
        assert_eq!(Hex32::from_digits(b"0123456789ABCDEF0123456789abcdef"), None);
        assert_eq!(Hex32::from_digits(b"0123"), None);
        let hex = "0123456789abcdef0123456789abcdef";
        for position in 0..32 {
            for byte in 0..=u8::MAX {
                let mut digits = hex.as_bytes().to_vec();
                digits[position] = byte;
                let is_hex = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
                assert_eq!(Hex32::from_digits(&digits).is_some(), is_hex, "{byte:?} at {position}");
            }
        }
    }
}
