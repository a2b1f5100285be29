//! Escapes of JSON text: runs of plain ASCII are copied whole, the rest is escaped.
//!
//! At `LEVEL` n the output is itself the content of n enclosing JSON strings, so a quote has 2^n -
//! 1 backslashes before it and a backslash becomes 2^n of them. Nesting changes nothing else,
//! because all other output is printable ASCII. Not here: the quotes around the text.

/// A quote that is *syntax* (delimits a string), at each level.
pub(crate) const fn quote<const LEVEL: usize>() -> &'static [u8] {
    match LEVEL {
        0 => b"\"",
        1 => b"\\\"",
        2 => b"\\\\\\\"",
        _ => panic!("two enclosing strings are the most a dialect nests"),
    }
}

/// A backslash that is *syntax* (begins an escape), at each level.
pub(crate) const fn backslash<const LEVEL: usize>() -> &'static [u8] {
    match LEVEL {
        0 => b"\\",
        1 => b"\\\\",
        2 => b"\\\\\\\\",
        _ => panic!("two enclosing strings are the most a dialect nests"),
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `text` escaped, without the quotes around it.
pub(crate) fn push_text<const LEVEL: usize>(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut done = 0;
    while done < bytes.len() {
        let run = plain_run(&bytes[done..]);
        out.extend_from_slice(&bytes[done..done + run]);
        done += run;
        if done == bytes.len() {
            return;
        }
        // `done` is on a character boundary: a run ends before the first byte of what is not plain.
        if bytes[done] < 0x80 {
            push_ascii_escape::<LEVEL>(out, bytes[done]);
            done += 1;
        } else {
            let character = text[done..].chars().next().expect("not at the end of the text");
            push_non_ascii::<LEVEL>(out, character);
            done += character.len_utf8();
        }
    }
}

/// Appends the escape of one ASCII character.
fn push_ascii_escape<const LEVEL: usize>(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(backslash::<LEVEL>());
    match byte {
        b'"' => out.extend_from_slice(quote::<LEVEL>()),
        b'\\' => out.extend_from_slice(backslash::<LEVEL>()),
        b'\n' => out.push(b'n'),
        b'\r' => out.push(b'r'),
        b'\t' => out.push(b't'),
        0x08 => out.push(b'b'),
        0x0c => out.push(b'f'),
        _ => push_code_unit(out, u16::from(byte)),
    }
}

/// Appends the escape of a character outside ASCII: one UTF-16 unit, or a surrogate pair.
pub(super) fn push_non_ascii<const LEVEL: usize>(out: &mut Vec<u8>, character: char) {
    let mut units = [0; 2];
    for unit in character.encode_utf16(&mut units) {
        out.extend_from_slice(backslash::<LEVEL>());
        push_code_unit(out, *unit);
    }
}

fn push_code_unit(out: &mut Vec<u8>, unit: u16) {
    let digit = |shift: u32| HEX[usize::from(unit >> shift & 0xf)];
    out.extend_from_slice(&[b'u', digit(12), digit(8), digit(4), digit(0)]);
}

/// Reads the four hexadecimal digits of a UTF-16 code unit at the start of `digits`.
pub(super) fn code_unit(digits: &[u8]) -> Option<u16> {
    digits.get(..4)?.iter().try_fold(0, |unit, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | digit as u16)
    })
}

/// Whether a byte needs no escape in JSON text limited to ASCII.
const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte < 0x7f && byte != b'"' && byte != b'\\'
}

/// Returns the length of the longest prefix that needs no escape. Reads eight bytes at a time.
fn plain_run(bytes: &[u8]) -> usize {
    let mut words = bytes.chunks_exact(8);
    let mut length = 0;
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks of eight"));
        let special = special_mask(word);
        if special != 0 {
            return length + special.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    length + words.remainder().iter().take_while(|&&byte| is_plain(byte)).count()
}

/// Returns the length of the longest prefix without a quote or a backslash.
pub(super) fn unescaped_run(bytes: &[u8]) -> usize {
    let mut words = bytes.chunks_exact(8);
    let mut length = 0;
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks of eight"));
        let found =
            zero_bytes(word ^ (ONES * b'"' as u64)) | zero_bytes(word ^ (ONES * b'\\' as u64));
        if found != 0 {
            return length + found.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let is_content = |&&byte: &&u8| byte != b'"' && byte != b'\\';
    length + words.remainder().iter().take_while(is_content).count()
}

/// Returns the length of the longest prefix without a quote, a backslash or a control character,
/// which a string cannot contain.
#[inline]
pub(super) fn content_run(bytes: &[u8]) -> usize {
    let mut words = bytes.chunks_exact(8);
    let mut length = 0;
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks of eight"));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let found = control
            | zero_bytes(word ^ (ONES * b'"' as u64))
            | zero_bytes(word ^ (ONES * b'\\' as u64));
        if found != 0 {
            return length + found.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let is_content = |&&byte: &&u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    length + words.remainder().iter().take_while(is_content).count()
}

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES * 0x80;

/// Returns the high bit of each byte that is zero. Exact up to and including the first such byte,
/// which is all that callers need (a borrow only affects higher bytes).
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// Returns the high bit of each byte that needs an escape, as exact as [`zero_bytes`].
const fn special_mask(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    let wide = word & HIGH;
    let quote = zero_bytes(word ^ (ONES * b'"' as u64));
    let backslash = zero_bytes(word ^ (ONES * b'\\' as u64));
    let delete = zero_bytes(word ^ (ONES * 0x7f));
    control | wide | quote | backslash | delete
}
