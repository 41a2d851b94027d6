//! Weighted random choices.

use crate::random::Random;

/// Values with their weights; those of weight 0 are never drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights<T: 'static>(&'static [(u32, T)]);

impl<T> Weights<T> {
    pub(super) const fn of(values: &'static [(u32, T)]) -> Self {
        Self(values)
    }

    /// Draws a value.
    #[expect(
        clippy::expect_used,
        reason = "the ticket is below the sum of the weights, of which there is one that is not 0"
    )]
    pub(super) fn draw(self, random: &mut Random) -> &'static T {
        let total: u64 = self.0.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut ticket = random.below(total);
        let found = self.0.iter().find(|(weight, _)| {
            let weight = u64::from(*weight);
            let here = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            here
        });
        &found.expect("a weight that is not 0").1
    }
}

/// Draws one of `count` ranks; the second is half as likely as the first, the third a third as
/// likely, and so on.
pub(super) fn by_rank(count: usize, random: &mut Random) -> usize {
    let shares = || (1..=count as u64).map(|rank| (1 << 32) / rank);
    let mut ticket = random.below(shares().sum());
    let found = shares().position(|share| {
        let here = ticket < share;
        ticket = ticket.saturating_sub(share);
        here
    });
    found.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_drawn_by_weight() {
        let mut random = Random::new(1);
        let mut drawn = [0; 4];
        for _ in 0..10_000 {
            drawn[*Weights::of(&[(1, 0), (0, 1), (3, 2)]).draw(&mut random)] += 1;
        }
        assert_eq!((drawn[1], drawn[3]), (0, 0));
        assert!((2300..2700).contains(&drawn[0]), "{drawn:?}");
    }

    #[test]
    fn low_ranks_win_most() {
        let mut random = Random::new(1);
        let mut drawn = [0; 3];
        for _ in 0..11_000 {
            drawn[by_rank(3, &mut random)] += 1;
        }
        for (count, expected) in drawn.into_iter().zip([6000_i32, 3000, 2000]) {
            assert!((count - expected).abs() < 250, "{drawn:?}");
        }
    }
}
