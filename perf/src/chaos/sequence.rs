//! The sequence of faults: a function of the seed and the kinds.
//!
//! Invariant: fault `k` of a sequence depends neither on the length of a run nor on its first
//! fault, so a sequence can be run in parts. Each round has every kind once, in an order of its
//! own. Not here: how a fault is made (`site`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cli::chaos::FaultKind;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fault {
    /// Its index in the sequence, from 0.
    pub(super) index: u32,
    pub(super) kind: FaultKind,
    /// The node, from 0, for kinds that concern one node.
    pub(super) node: usize,
    /// Milliseconds from its begin to its end.
    pub(super) hold_ms: u64,
    /// A random number for other choices: which queue, how many octets.
    pub(super) choice: u32,
}

impl Fault {
    pub(super) const fn hold(&self) -> Duration {
        Duration::from_millis(self.hold_ms)
    }

    /// One of these values, by the fault's choice.
    pub(super) fn choose<T: Copy>(&self, of: &[T]) -> T {
        of[self.choice as usize % of.len()]
    }

    /// A number from 1 to `max`, by the fault's choice.
    pub(super) const fn up_to(&self, max: u32) -> u32 {
        1 + self.choice % max
    }
}

/// When clients and servers are expected to work again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountsFrom {
    /// While the fault lasts: other nodes or new connections are available.
    Begin,
    /// After the end of the fault.
    End,
}

impl FaultKind {
    /// When flows are expected to work again, on queues that survive a node or on others.
    pub(super) const fn counts_from(self, outlives_a_node: bool) -> CountsFrom {
        match self {
            Self::Kill | Self::Stop | Self::Freeze | Self::Cut if outlives_a_node => {
                CountsFrom::Begin
            }
            Self::Close | Self::Reset | Self::HalfOpen => CountsFrom::Begin,
            Self::Queue | Self::Exchange | Self::Binding => CountsFrom::Begin,
            Self::Drip | Self::CutAfter | Self::Delay => CountsFrom::Begin,
            _ => CountsFrom::End,
        }
    }

    /// Whether the kind concerns one node.
    pub(super) const fn has_node(self) -> bool {
        matches!(
            self,
            Self::Kill | Self::Stop | Self::Freeze | Self::Cut | Self::HalfOpen | Self::Drip
        ) || matches!(self, Self::Memory | Self::Disk)
    }

    /// Shortest and longest time it lasts, in milliseconds.
    const fn lasts_ms(self) -> (u64, u64) {
        match self {
            Self::Kill | Self::Stop | Self::Vhost => (500, 3000),
            Self::Freeze => (3000, 8000),
            // Both shorter and longer than nodes need to notice it.
            Self::Cut => (3000, 16_000),
            Self::User | Self::Permissions | Self::Memory | Self::Disk => (1000, 5000),
            Self::Reject => (1000, 4000),
            // Longer than two heartbeats.
            Self::HalfOpen => (5000, 8000),
            Self::Drip | Self::CutAfter | Self::Delay => (1000, 3000),
            Self::Rolling | Self::Close | Self::Reset => (0, 0),
            Self::Queue | Self::Exchange | Self::Binding => (0, 0),
        }
    }
}

/// The faults `from..to` of the sequence of these kinds, which are all different.
pub(super) fn sequence(
    seed: u64,
    kinds: &[FaultKind],
    nodes: usize,
    range: std::ops::Range<u32>,
) -> Vec<Fault> {
    let mut kinds = kinds.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    let per_round = kinds.len() as u32;
    let fault = |index: u32| {
        let mut round = kinds.clone();
        random(seed, 1, index / per_round).shuffle(&mut round);
        let kind = round[(index % per_round) as usize];
        let mut random = random(seed, 2, index);
        let (shortest, longest) = kind.lasts_ms();
        Fault {
            index,
            kind,
            node: random.usize(..nodes),
            hold_ms: random.u64(shortest..=longest),
            choice: random.u32(..),
        }
    };
    range.map(fault).collect()
}

/// A generator for one purpose and one number of the sequence.
fn random(seed: u64, purpose: u64, number: u32) -> fastrand::Rng {
    let mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (purpose << 32 | u64::from(number));
    fastrand::Rng::with_seed(mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_sequence_wherever_it_begins() {
        let all = FaultKind::all();
        let whole = sequence(7, all, 3, 0..100);
        assert_eq!(whole, sequence(7, all, 3, 0..100));
        assert_eq!(whole[40..60], sequence(7, all, 3, 40..60));
        assert_ne!(whole, sequence(8, all, 3, 0..100));
        let reversed: Vec<FaultKind> = all.iter().rev().copied().collect();
        assert_eq!(whole, sequence(7, &reversed, 3, 0..100), "the order of the names is nothing");
    }

    #[test]
    fn each_round_has_every_kind_once() {
        let all = FaultKind::all();
        for round in sequence(1, all, 3, 0..60).chunks(all.len()) {
            let mut kinds: Vec<FaultKind> = round.iter().map(|fault| fault.kind).collect();
            kinds.sort_unstable();
            assert_eq!(kinds, all);
        }
        let orders = sequence(1, all, 3, 0..40);
        let kinds = |faults: &[Fault]| faults.iter().map(|f| f.kind).collect::<Vec<_>>();
        assert_ne!(kinds(&orders[..20]), kinds(&orders[20..]));
    }

    #[test]
    fn a_fault_is_about_a_node_there_is_and_lasts_as_long_as_its_kind() {
        for fault in sequence(3, FaultKind::all(), 2, 0..200) {
            let (shortest, longest) = fault.kind.lasts_ms();
            assert!(fault.node < 2 && (shortest..=longest).contains(&fault.hold_ms), "{fault:?}");
        }
    }
}
