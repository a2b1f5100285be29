//! Numbers as Python prints them: integers in full, floats as `repr`.
//!
//! `repr` and Rust agree on the digits (the shortest that read back to the same value) and differ
//! in form: Python switches to an exponent below 1e-4 and from 1e16 on, signs it and gives it two
//! digits at least.

use std::io::Write as _;

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

/// Appends a float as Python's `repr`, with `NaN`, `Infinity` and `-Infinity` for what JSON lacks.
pub(crate) fn push_float(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let value = value.abs();
    if value.is_infinite() {
        return out.extend_from_slice(b"Infinity");
    }
    if value < 1e15 && value.fract() == 0.0 {
        push_unsigned(out, value as u64);
        return out.extend_from_slice(b".0");
    }
    push_shortest(out, Shortest::of(value));
}

/// Appends a single-precision float in its own shortest digits, so that `0.1f32` goes out as `0.1`.
pub(crate) fn push_float32(out: &mut Vec<u8>, value: f32) {
    if !value.is_finite() || value.fract() == 0.0 {
        return push_float(out, value.into());
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    push_shortest(out, Shortest::of(value.abs()));
}

/// A finite positive float as `0.d1d2d3… × 10^point`, in the shortest digits.
struct Shortest {
    digits: [u8; 17],
    length: usize,
    point: i32,
}

impl Shortest {
    fn of(value: impl std::fmt::LowerExp) -> Self {
        let mut text = [0; 32];
        let mut rest = &mut text[..];
        write!(rest, "{value:e}").expect("17 digits, a point and an exponent fit into 32 bytes");
        let written = 32 - rest.len();
        let text = &text[..written];
        let mark = text.iter().position(|&byte| byte == b'e').expect("`{:e}` prints an exponent");
        let exponent = std::str::from_utf8(&text[mark + 1..])
            .ok()
            .and_then(|text| text.parse::<i32>().ok())
            .expect("`{:e}` prints a decimal exponent");
        let (mut digits, mut length) = ([0; 17], 0);
        for &byte in text[..mark].iter().filter(|byte| byte.is_ascii_digit()) {
            digits[length] = byte;
            length += 1;
        }
        Self { digits, length, point: exponent + 1 }
    }
}

fn push_shortest(out: &mut Vec<u8>, number: Shortest) {
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
