//! Message ids: 32 hex digits that a peer cannot guess.
//!
//! An id is a number, encrypted by AES-128 under a random key of the transport. So an id costs no
//! allocation and no system call, the ids of one transport are distinct, however many of them a
//! peer has seen tell nothing about the others, and the transport can decode the number from its
//! own ids: it matches a reply to its call this way. oslo uses random UUIDs in the same format and
//! treats them as opaque.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use aes::Aes128;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use zeroize::Zeroizing;

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

    fn from_bits(bits: u128) -> Self {
        let mut digits = [0; 32];
        let values = [96, 64, 32, 0].map(|shift| (bits >> shift) as u32);
        for (value, text) in values.into_iter().zip(digits.chunks_exact_mut(8)) {
            text.copy_from_slice(&format_digits(value).to_be_bytes());
        }
        Self(digits)
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

/// Creates the ids of a transport.
pub(crate) struct IdSource {
    cipher: Aes128,
    next_unique: AtomicU64,
}

/// What an id stands for: the upper half of the block that is encrypted.
const CALL: u64 = 0;
const UNIQUE: u64 = 1;

impl IdSource {
    /// Creates a source with a random key.
    pub(crate) fn new() -> Result<Self, NoEntropy> {
        let mut key = Zeroizing::new([0; 16]);
        getrandom::fill(&mut *key).map_err(|_| NoEntropy)?;
        Ok(Self { cipher: Aes128::new((&*key).into()), next_unique: AtomicU64::new(0) })
    }

    /// Returns the id of the call in `slot`. The slot number includes its generation, so ids are
    /// not reused with the slot.
    pub(crate) fn call_id(&self, slot: u64) -> Hex32 {
        self.encrypt(CALL, slot)
    }

    /// Returns the slot for which [`Self::call_id`] made this id; `None` for the id of another
    /// source.
    pub(crate) fn slot_of(&self, id: &Hex32) -> Option<u64> {
        let mut block = id.to_bits().to_be_bytes().into();
        self.cipher.decrypt_block(&mut block);
        let bits = u128::from_be_bytes(block.into());
        ((bits >> 64) as u64 == CALL).then_some(bits as u64)
    }

    /// Returns a new id.
    pub(crate) fn unique_id(&self) -> Hex32 {
        self.encrypt(UNIQUE, self.next_unique.fetch_add(1, Ordering::Relaxed))
    }

    fn encrypt(&self, meaning: u64, number: u64) -> Hex32 {
        let bits = u128::from(meaning) << 64 | u128::from(number);
        let mut block = bits.to_be_bytes().into();
        self.cipher.encrypt_block(&mut block);
        Hex32::from_bits(u128::from_be_bytes(block.into()))
    }
}

/// Without the key.
impl fmt::Debug for IdSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdSource")
    }
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
            let id = Hex32::from_bits(bits);
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

    /// Half of the bits of an id change with the number of it; a number that a peer sees in one id
    /// tells nothing of the next.
    #[test]
    fn neighbours_have_nothing_in_common() {
        let source = IdSource::new().unwrap();
        let changed: u32 = (0..1000)
            .map(|slot| {
                let ids = [source.call_id(slot), source.call_id(slot + 1)];
                let [one, next] = ids.map(Hex32::to_bits);
                assert!(one ^ next > u128::from(u64::MAX), "the upper half changes, too");
                (one ^ next).count_ones()
            })
            .sum();
        assert!((63_000..65_000).contains(&changed), "{changed} of 128,000 bits");
        assert_eq!(source.slot_of(&source.unique_id()), None, "it is no call");
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
