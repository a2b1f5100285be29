//! Lengths of the messages of a real control plane.
//!
//! The lengths of 4,077 messages that OpenStack Nova sent while servers were booted and deleted, as
//! published with oslo.messaging's load simulator, counted in buckets of 500 characters. A length
//! is drawn as in oslo.messaging's simulator: a bucket by its weight, then a length evenly inside
//! it.

/// Characters a bucket spans.
const BUCKET: usize = 500;

/// Number of a bucket (it begins at number × 500) and messages in it.
const HISTOGRAM: [(usize, u32); 16] = [
    (1, 56),
    (2, 105),
    (3, 801),
    (4, 1166),
    (5, 616),
    (6, 150),
    (7, 100),
    (8, 37),
    (9, 177),
    (10, 250),
    (11, 99),
    (12, 154),
    (13, 211),
    (14, 52),
    (15, 53),
    (22, 50),
];

/// Number of different cargos; senders cycle through them from a random start.
const CARGOS: usize = 1000;

/// A length drawn from the histogram.
fn draw(random: &mut fastrand::Rng) -> usize {
    let all: u32 = HISTOGRAM.iter().map(|(_, weight)| weight).sum();
    let mut left = random.u32(..all);
    for (bucket, weight) in HISTOGRAM {
        if left < weight {
            return bucket * BUCKET + random.usize(..BUCKET);
        }
        left -= weight;
    }
    unreachable!("the draw is below the sum of all weights")
}

/// Lengths that follow the histogram.
pub(crate) fn recorded(random: &mut fastrand::Rng) -> Vec<usize> {
    (0..CARGOS).map(|_| draw(random)).collect()
}

/// Random lower-case texts whose lengths follow the histogram.
pub(crate) fn cargos(random: &mut fastrand::Rng) -> Vec<String> {
    (0..CARGOS)
        .map(|_| {
            let length = draw(random);
            (0..length).map(|_| random.lowercase()).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_recorded_messages_are_in_the_histogram() {
        assert_eq!(HISTOGRAM.iter().map(|(_, weight)| weight).sum::<u32>(), 4077);
    }

    #[test]
    fn drawn_lengths_have_the_shape_of_the_recorded_ones() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut lengths: Vec<usize> = (0..20_000).map(|_| draw(&mut random)).collect();
        lengths.sort_unstable();
        assert!(lengths[0] >= 500 && lengths[lengths.len() - 1] < 11_500);
        let median = lengths[lengths.len() / 2];
        // Recorded median: 2,450.
        assert!((2300..2600).contains(&median), "{median}");
        let mean = lengths.iter().sum::<usize>() / lengths.len();
        // Recorded mean: 3,218.
        assert!((3000..3450).contains(&mean), "{mean}");
        // No message was recorded in the gap between the buckets 15 and 22.
        assert!(!lengths.iter().any(|length| (8000..11_000).contains(length)));
    }

    #[test]
    fn cargos_are_lower_case_letters() {
        let cargos = cargos(&mut fastrand::Rng::with_seed(7));
        assert_eq!(cargos.len(), CARGOS);
        assert!(cargos.iter().all(|cargo| cargo.bytes().all(|byte| byte.is_ascii_lowercase())));
    }
}
