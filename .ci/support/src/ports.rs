//! Free TCP ports on the loopback interface.
//!
//! The ports are below 32768, where Linux's ephemeral ports begin. A killed broker must find its
//! port free when it restarts; an outgoing connection of another process could take an ephemeral
//! port. Invariant: the ports of one call differ, and each was free a moment before. Not here:
//! reservation; a caller that finds its port taken draws again.

use std::net::{Ipv4Addr, TcpListener};

const LOWEST: u16 = 20_000;
const SPAN: u64 = 12_000;

/// Returns `N` different ports that are free now.
pub(crate) fn draw<const N: usize>() -> [u16; N] {
    let mut bound = Vec::with_capacity(N);
    while bound.len() < N {
        let offset = u16::try_from(crate::random() % SPAN).expect("SPAN fits in u16");
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, LOWEST + offset)) {
            bound.push((LOWEST + offset, listener));
        }
    }
    std::array::from_fn(|i| bound[i].0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_one_draw_differ_and_lie_below_the_ephemeral_range() {
        let mut ports = draw::<8>();
        ports.sort_unstable();
        assert!(ports.windows(2).all(|pair| pair[0] < pair[1]), "{ports:?}");
        assert!(ports.iter().all(|port| (20_000..32_000).contains(port)), "{ports:?}");
    }
}
