//! The brokers of a connection and the order they are tried in.
//!
//! A round tries each host once, in rotation, suspects last. A host is a suspect for some time
//! after it refused the connection, did not answer or confirmed nothing. Invariant: every round
//! tries every host. The pauses between rounds are in `connector`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::Host;

/// How long a suspect is tried last. A node cut off from its cluster may accept connections and
/// answer heartbeats for ever; without this limit it would be chosen again at once.
const SUSPECT_FOR: Duration = Duration::from_secs(30);

/// The hosts of one connection.
pub(crate) struct Hosts {
    entries: Vec<Entry>,
    /// Indices of the hosts that this round has not tried.
    round: VecDeque<usize>,
    /// Where the rotation of the next round begins.
    next: usize,
    /// Draw a new random order for each round instead of rotating.
    shuffle: bool,
}

struct Entry {
    host: Host,
    suspect_until: Option<Instant>,
}

impl Hosts {
    /// Shuffles the hosts, once or, with `shuffle`, for each round.
    pub(crate) fn new(mut hosts: Vec<Host>, shuffle: bool) -> Self {
        fastrand::shuffle(&mut hosts);
        let entries = hosts.into_iter().map(|host| Entry { host, suspect_until: None }).collect();
        Self { entries, round: VecDeque::new(), next: 0, shuffle }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the host to try now, and its index.
    pub(crate) fn next(&mut self, now: Instant) -> (usize, Host) {
        if self.round.is_empty() {
            self.begin_round(now);
        }
        let index = self.round.pop_front().expect("a connection has at least one host");
        self.next = (index + 1) % self.entries.len();
        (index, self.entries[index].host.clone())
    }

    /// Whether every host of this round was tried.
    pub(crate) fn is_round_over(&self) -> bool {
        self.round.is_empty()
    }

    /// Ends the round. The next one begins with the successor of the host tried last.
    pub(crate) fn end_round(&mut self) {
        self.round.clear();
    }

    /// Marks a host as a suspect.
    pub(crate) fn suspect(&mut self, index: usize, now: Instant) {
        self.entries[index].suspect_until = Some(now + SUSPECT_FOR);
    }

    fn begin_round(&mut self, now: Instant) {
        let count = self.entries.len();
        let mut order: Vec<usize> = (0..count).map(|step| (self.next + step) % count).collect();
        if self.shuffle {
            fastrand::shuffle(&mut order);
        }
        let is_suspect =
            |index: &usize| self.entries[*index].suspect_until.is_some_and(|until| now < until);
        // The sort is stable, so the rotation holds among suspects and among the others.
        order.sort_by_key(is_suspect);
        self.round = order.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(count: u16, shuffle: bool) -> Hosts {
        Hosts::new((0..count).map(|port| Host::new("h", port)).collect(), shuffle)
    }

    fn round(hosts: &mut Hosts, now: Instant) -> Vec<u16> {
        (0..hosts.len()).map(|_| hosts.next(now).1.port).collect()
    }

    #[test]
    fn a_round_tries_each_host_once() {
        let now = Instant::now();
        for shuffle in [false, true] {
            let mut hosts = hosts(5, shuffle);
            let mut orders = std::collections::HashSet::new();
            for _ in 0..50 {
                let order = round(&mut hosts, now);
                assert!(hosts.is_round_over());
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, [0, 1, 2, 3, 4]);
                orders.insert(order);
            }
            assert_eq!(orders.len() > 1, shuffle, "{orders:?}");
        }
    }

    #[test]
    fn a_suspect_is_tried_last_for_half_a_minute() {
        let now = Instant::now();
        let mut hosts = hosts(3, false);
        let (index, first) = hosts.next(now);
        hosts.suspect(index, now);
        hosts.end_round();
        for _ in 0..3 {
            let order = round(&mut hosts, now + Duration::from_secs(29));
            assert_eq!(order[2], first.port, "{order:?}");
        }
        let later = now + Duration::from_secs(30);
        hosts.next(later);
        hosts.end_round();
        let order = round(&mut hosts, later);
        assert_eq!(order[1], first.port, "in its turn again: {order:?}");
    }

    #[test]
    fn a_lone_suspect_is_tried_all_the_same() {
        let now = Instant::now();
        let mut hosts = hosts(1, false);
        hosts.suspect(0, now);
        assert_eq!(hosts.next(now).0, 0);
        assert!(hosts.is_round_over());
    }

    #[test]
    fn an_ended_round_continues_with_the_successor() {
        let now = Instant::now();
        let mut hosts = hosts(3, false);
        let (first, _) = hosts.next(now);
        hosts.end_round();
        assert_eq!(hosts.next(now).0, (first + 1) % 3);
    }
}
