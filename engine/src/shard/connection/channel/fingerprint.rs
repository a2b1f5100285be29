//! Fingerprints that match a returned publication to its record, because AMQP returns carry no tag.
//!
//! The fingerprint covers exchange, routing key and body, in whatever pieces the body comes.
//! Publications that agree in all three are indistinguishable, so a return is matched to the oldest
//! of them.

/// The fingerprint of a mandatory publication or of a return.
pub(crate) fn fingerprint<'a>(
    exchange: &str,
    routing_key: &str,
    body: impl Iterator<Item = &'a [u8]>,
) -> u32 {
    let mut hash = hash_names(exchange, routing_key);
    body.for_each(|piece| hash.update(piece));
    hash.finalize()
}

/// The fingerprint of a return of which only the checksum of the body was kept.
pub(crate) fn fingerprint_of_sum(
    exchange: &str,
    routing_key: &str,
    body: &crc32fast::Hasher,
) -> u32 {
    let mut hash = hash_names(exchange, routing_key);
    hash.combine(body);
    hash.finalize()
}

fn hash_names(exchange: &str, routing_key: &str) -> crc32fast::Hasher {
    let mut hash = crc32fast::Hasher::new();
    for name in [exchange, routing_key] {
        hash.update(&(name.len() as u64).to_be_bytes());
        hash.update(name.as_bytes());
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_body_do_not_matter_and_names_are_delimited() {
        let whole = fingerprint("ex", "key", [b"body".as_slice()].into_iter());
        let cut = fingerprint("ex", "key", [b"bo".as_slice(), b"", b"dy"].into_iter());
        assert_eq!(whole, cut);
        let mut sum = crc32fast::Hasher::new();
        sum.update(b"body");
        assert_eq!(whole, fingerprint_of_sum("ex", "key", &sum));
        assert_ne!(whole, fingerprint("exk", "ey", [b"body".as_slice()].into_iter()));
        assert_ne!(whole, fingerprint("ex", "key", [b"Body".as_slice()].into_iter()));
    }
}
