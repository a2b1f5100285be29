//! Numbers as Python prints them: integers in full, floats as `repr`.
//!
//! `repr` and Rust have the same digits (the shortest that are read as the same value) in different
//! forms: Python writes an exponent below 1e-4 and from 1e16 on, with a sign and at least two
//! digits.

use serde::Serialize;

/// Appends an unsigned integer in decimal.
pub(crate) fn push_unsigned(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a signed integer in decimal.
pub(crate) fn push_signed(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    push_unsigned(out, value.unsigned_abs());
}

/// Appends a float as Python's `repr`, or as `NaN`, `Infinity` or `-Infinity`.
pub(crate) fn push_float(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        return push_finite(out, value, value.abs());
    }
    let sign = if value == f64::NEG_INFINITY { "-" } else { "" };
    out.extend_from_slice(sign.as_bytes());
    out.extend_from_slice(if value.is_nan() { b"NaN" } else { b"Infinity" });
}

/// Appends a single-precision float in the shortest digits of its precision: `0.1f32` as `0.1`.
pub(crate) fn push_float32(out: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        return push_finite(out, value, value.abs().into());
    }
    push_float(out, value.into());
}

/// Appends a finite float of either width; `size` is its magnitude.
fn push_finite(out: &mut Vec<u8>, value: impl Serialize, size: f64) {
    let mut text = [0; 32];
    let mut rest = &mut text[..];
    serde_json::to_writer(&mut rest, &value).expect("17 digits and an exponent fit 32 bytes");
    let written = 32 - rest.len();
    let text = &text[..written];
    if size == 0.0 || (1e-4..1e16).contains(&size) && !text.contains(&b'e') {
        return out.extend_from_slice(text);
    }
    let text = text.strip_prefix(b"-").map_or(text, |text| {
        out.push(b'-');
        text
    });
    push_shortest(out, &Shortest::parse(text));
}

/// A finite positive float as `0.d1d2d3… × 10^point`, in the shortest digits.
struct Shortest {
    digits: [u8; 32],
    length: usize,
    point: i32,
}

impl Shortest {
    /// Reads the digits of a float's text in either form.
    fn parse(text: &[u8]) -> Self {
        let mark = text.iter().position(|&byte| byte == b'e').unwrap_or(text.len());
        let exponent = std::str::from_utf8(&text[mark..])
            .ok()
            .and_then(|text| text.strip_prefix('e'))
            .map_or(0, |text| text.parse::<i32>().expect("an exponent is a number"));
        let mut number = Self { digits: [0; 32], length: 0, point: exponent };
        let mut is_fraction = false;
        for &byte in &text[..mark] {
            match byte {
                b'.' => is_fraction = true,
                b'0' if number.length == 0 => number.point -= i32::from(is_fraction),
                digit => {
                    number.digits[number.length] = digit;
                    number.length += 1;
                    number.point += i32::from(!is_fraction);
                }
            }
        }
        while number.length > 1 && number.digits[number.length - 1] == b'0' {
            number.length -= 1;
        }
        number
    }
}

fn push_shortest(out: &mut Vec<u8>, number: &Shortest) {
    let digits = &number.digits[..number.length];
    let zeros = |out: &mut Vec<u8>, count: i32| (0..count).for_each(|_| out.push(b'0'));
    match number.point {
        point @ -3..=0 => {
            out.extend_from_slice(b"0.");
            zeros(out, -point);
            out.extend_from_slice(digits);
        }
        point @ 1..=16 if (point as usize) < digits.len() => {
            out.extend_from_slice(&digits[..point as usize]);
            out.push(b'.');
            out.extend_from_slice(&digits[point as usize..]);
        }
        point @ 1..=16 => {
            out.extend_from_slice(digits);
            zeros(out, point - digits.len() as i32);
            out.extend_from_slice(b".0");
        }
        point => {
            out.push(digits[0]);
            if digits.len() > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            let exponent = point - 1;
            out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
            if exponent.abs() < 10 {
                out.push(b'0');
            }
            push_unsigned(out, u64::from(exponent.unsigned_abs()));
        }
    }
}
