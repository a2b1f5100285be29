//! The order of windows: random, and then the same backwards.

use fastrand::Rng;

/// Orders in which subjects take turns. Each second order is the one before it backwards, as in
/// A B B A, so that a steady drift of the machine harms all alike; and what begins is random, so
/// that nothing that comes and goes falls in with it.
pub(super) struct Order {
    random: Rng,
    last: Vec<usize>,
    is_backwards: bool,
}

impl Order {
    pub(super) fn new(subjects: usize, random: Rng) -> Self {
        Self { random, last: (0..subjects).collect(), is_backwards: false }
    }

    /// The number of subjects.
    pub(super) fn len(&self) -> usize {
        self.last.len()
    }

    /// The next order: numbers of subjects.
    pub(super) fn next(&mut self) -> &[usize] {
        match self.is_backwards {
            true => self.last.reverse(),
            false => self.random.shuffle(&mut self.last),
        }
        self.is_backwards = !self.is_backwards;
        &self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_order_is_the_one_before_it_backwards() {
        let mut order = Order::new(3, Rng::with_seed(3));
        let mut firsts = [0; 3];
        for _ in 0..60 {
            let forth = order.next().to_vec();
            firsts[forth[0]] += 1;
            let mut sorted = forth.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
            let back: Vec<usize> = order.next().to_vec();
            assert!(forth.iter().eq(back.iter().rev()), "{forth:?} {back:?}");
        }
        assert!(firsts.iter().all(|times| *times > 5), "{firsts:?}");
    }
}
