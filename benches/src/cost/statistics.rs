//! Summary statistics.

use serde::{Deserialize, Serialize};

/// The distribution of samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The number of samples.
    pub samples: usize,
    /// The minimum.
    pub min: f64,
    /// The lower quartile.
    pub lower_quartile: f64,
    /// The median.
    pub median: f64,
    /// The upper quartile.
    pub upper_quartile: f64,
    /// The maximum.
    pub max: f64,
}

impl Spread {
    /// The distribution of `samples`, with linear interpolation; all values are 0 if there are
    /// none.
    #[must_use]
    pub fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |fraction: f64| {
            let place = fraction * sorted.len().saturating_sub(1) as f64;
            let lower = sorted.get(place.floor() as usize).copied();
            let upper = sorted.get(place.ceil() as usize).copied();
            let (lower, upper) = (lower.unwrap_or(0.0), upper.unwrap_or(0.0));
            lower + (upper - lower) * place.fract()
        };
        Self {
            samples: samples.len(),
            min: at(0.0),
            lower_quartile: at(0.25),
            median: at(0.5),
            upper_quartile: at(0.75),
            max: at(1.0),
        }
    }

    /// Half the interquartile range divided by the median: the typical relative deviation of a
    /// sample.
    #[must_use]
    pub fn noise(&self) -> f64 {
        if self.median == 0.0 {
            return 0.0;
        }
        (self.upper_quartile - self.lower_quartile) / 2.0 / self.median
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_samples() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0]);
        assert_eq!(spread.samples, 4);
        let quartiles = [
            spread.min,
            spread.lower_quartile,
            spread.median,
            spread.upper_quartile,
            spread.max,
        ];
        assert_eq!(quartiles, [1.0, 1.75, 2.5, 3.25, 4.0]);
        assert!((spread.noise() - 0.3).abs() < 1e-9);
    }

    #[test]
    fn no_samples_have_no_spread() {
        assert_eq!(Spread::of(&[]), Spread::default());
        assert_eq!(Spread::default().noise(), 0.0);
    }
}
