//! Compresses and decompresses bodies as kombu does.
//!
//! kombu's `gzip` is a zlib stream with the value `application/x-gzip` in the header `compression`.
//! Compressed bodies are read whatever the options say. Invariant: a body that would inflate beyond
//! [`INFLATED_BYTES_MAX`] is refused before memory is allocated for it. Not here: when bodies are
//! compressed (`broker`), kombu's other algorithms.

use std::borrow::Cow;
use std::io::{Read, Write};

use flate2::read::ZlibDecoder;
use leveret_engine::wire::PropertiesView;

use crate::codec::compressor::Compressor;
use crate::config::driver_config::Compression;
use crate::dialect::error::DecodeError;

/// The header that names the compression of a body.
const HEADER: &str = "compression";
const GZIP: &str = "application/x-gzip";

/// The largest decompressed body: the same limit as for uncompressed bodies (the engine's
/// `body_max`).
const INFLATED_BYTES_MAX: u64 = 64 << 20;
/// From this length on, a decompressed body is measured before it is stored.
const MEASURED_BYTES_MIN: u64 = 1 << 20;

/// Returns the compressor that an option chooses.
pub(crate) fn compressor(compression: Compression) -> Compressor {
    match compression {
        Compression::Gzip => Compressor { header: (HEADER, GZIP), compress: deflate },
    }
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(body).and_then(|()| out.finish()).expect("memory takes what is written")
}

/// Returns the compression that the properties of a message name.
pub(crate) fn label<'a>(properties: &PropertiesView<'a>) -> Option<&'a str> {
    let table = properties.headers.as_ref()?;
    table.get(HEADER).and_then(|value| value.as_str())
}

/// Decompresses a body with this label; returns a body without a label as it is.
#[inline]
pub(crate) fn decompress<'a>(
    label: Option<&str>,
    body: Cow<'a, [u8]>,
) -> Result<Cow<'a, [u8]>, DecodeError> {
    match label {
        None => Ok(body),
        Some(label) => decompress_labelled(label, &body).map(Cow::Owned),
    }
}

fn decompress_labelled(label: &str, body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    match label {
        GZIP => inflate(body),
        other => Err(DecodeError::Compressed(other.to_owned())),
    }
}

/// Measures long text before it allocates: a growing vector takes up to three times as much memory.
fn inflate(compressed: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let failed = |error: std::io::Error| DecodeError::Inflate(error.to_string());
    let mut text = Vec::new();
    let mut decoder = ZlibDecoder::new(compressed).take(MEASURED_BYTES_MIN);
    decoder.read_to_end(&mut text).map_err(failed)?;
    if (text.len() as u64) < MEASURED_BYTES_MIN {
        return Ok(text);
    }
    decoder.set_limit(INFLATED_BYTES_MAX + 1 - MEASURED_BYTES_MIN);
    let rest = std::io::copy(&mut decoder, &mut std::io::sink()).map_err(failed)?;
    let length = MEASURED_BYTES_MIN + rest;
    if length > INFLATED_BYTES_MAX {
        return Err(DecodeError::Inflate(format!(
            "it is a message of more than {INFLATED_BYTES_MAX} bytes"
        )));
    }
    text.clear();
    text.reserve_exact(length as usize);
    ZlibDecoder::new(compressed).read_to_end(&mut text).map_err(failed)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compress(compression: Compression, body: &[u8]) -> (&'static str, Vec<u8>) {
        let Compressor { header: (_, label), compress } = compressor(compression);
        (label, compress(body))
    }

    #[test]
    fn what_python_compressed_is_read() {
        // zlib.compress(b"{}" * 20)
        let zlib = b"\x78\x9c\xab\xae\xad\x26\x0a\x02\x00\x8d\x53\x13\x61";
        let text = decompress(Some(GZIP), Cow::Borrowed(zlib)).unwrap();
        assert_eq!(&*text, "{}".repeat(20).as_bytes());
        assert_eq!(&compress(Compression::Gzip, &text).1[..2], b"\x78\x9c", "zlib, not gzip");
    }

    #[test]
    fn a_body_that_cannot_be_decompressed_is_an_error() {
        let compressed = compress(Compression::Gzip, b"some text").1;
        let cut = decompress(Some(GZIP), Cow::Borrowed(&compressed[..compressed.len() - 5]));
        assert!(matches!(cut, Err(DecodeError::Inflate(_))), "{cut:?}");
        let other = decompress(Some("application/x-lzma"), Cow::Borrowed(b""));
        assert_eq!(other, Err(DecodeError::Compressed("application/x-lzma".into())));
    }

    #[test]
    fn a_decompression_bomb_is_an_error() {
        let (label, bomb) = compress(Compression::Gzip, &vec![b' '; (64 << 20) + 1]);
        assert!(bomb.len() < 1 << 20, "the body is a bomb");
        let refused = decompress(Some(label), Cow::Owned(bomb));
        assert!(matches!(refused, Err(DecodeError::Inflate(_))), "{refused:?}");
        for length in [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 64 << 20] {
            let (label, compressed) = compress(Compression::Gzip, &vec![b' '; length]);
            let text = decompress(Some(label), Cow::Owned(compressed.clone())).unwrap();
            assert_eq!(text.len(), length);
            let cut = decompress(Some(label), Cow::Borrowed(&compressed[..compressed.len() - 1]));
            assert!(matches!(cut, Err(DecodeError::Inflate(_))), "{length}");
        }
    }

    proptest! {
        #[test]
        fn compression_is_reversible(body in prop::collection::vec(any::<u8>(), 0..3000)) {
            let (label, compressed) = compress(Compression::Gzip, &body);
            prop_assert_eq!(&*decompress(Some(label), compressed.into()).unwrap(), &body[..]);
        }

        #[test]
        fn garbage_does_not_panic(body in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = decompress(Some(GZIP), Cow::Borrowed(&body));
        }
    }
}
