//! Free TCP ports on the loopback interface.
//!
//! Drawn below 32768, where Linux starts handing out ephemeral ports: a broker that is killed
//! must find its port free when it is restarted, and an outgoing connection of somebody else
//! would otherwise take it now and then. Invariant: the ports of one draw differ and could be
//! bound a moment ago. Not here: a reservation; whoever loses the race draws again.

use std::net::{Ipv4Addr, TcpListener};

const LOWEST: u16 = 20_000;
const SPAN: u64 = 12_000;

/// Draws `N` different ports that are free now.
pub(crate) fn draw<const N: usize>() -> [u16; N] {
    let mut held = Vec::with_capacity(N);
    while held.len() < N {
        let offset = u16::try_from(crate::random() % SPAN).expect("SPAN fits in u16");
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, LOWEST + offset)) {
            held.push((LOWEST + offset, listener));
        }
    }
    std::array::from_fn(|i| held[i].0)
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
