//! Zipf's law.

use crate::random::Random;

/// A distribution over indices in which few are frequent.
#[derive(Clone, Debug)]
pub(super) struct Zipf {
    /// The indices by rank.
    order: Vec<usize>,
    /// The sums of the weights up to and including each rank.
    sums: Vec<f64>,
}

impl Zipf {
    /// The distribution over the indices below `count`, with random ranks.
    pub(super) fn new(count: usize, exponent: f64, random: &mut Random) -> Self {
        let mut order: Vec<_> = (0..count).collect();
        for place in (1..count).rev() {
            let other = usize::try_from(random.below(place as u64 + 1)).unwrap_or(place);
            order.swap(place, other);
        }
        let mut sum = 0.0;
        let sums = (1..=count).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Self {
            sums: sums.collect(),
            order,
        }
    }

    pub(super) fn draw(&self, random: &mut Random) -> Option<usize> {
        let total = self.sums.last()?;
        let ticket = random.below(1 << 53) as f64 / (1_u64 << 53) as f64 * total;
        let rank = self.sums.partition_point(|sum| *sum <= ticket);
        self.order.get(rank.min(self.order.len() - 1)).copied()
    }
}
