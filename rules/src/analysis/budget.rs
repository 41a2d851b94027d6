//! How much work an analysis may do.

/// The work that an analysis may still do, in steps: one comparison of a rule with a region of
/// packets is a step, and sets of thousands of ranges take more. A machine of 2020 does about ten
/// million steps per second.
#[derive(Clone, Debug)]
pub struct Budget {
    total: u64,
    left: u64,
}

impl Budget {
    /// The default number of steps of an analysis.
    pub const DEFAULT: u64 = 200_000_000;

    /// A budget of this many steps.
    #[must_use]
    pub const fn new(steps: u64) -> Self {
        Self {
            total: steps,
            left: steps,
        }
    }

    /// The number of steps taken.
    #[must_use]
    pub const fn spent(&self) -> u64 {
        self.total - self.left
    }

    /// Whether no steps are left.
    #[must_use]
    pub const fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// Takes steps from the budget.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), Exhausted> {
        match self.left.checked_sub(steps as u64) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Exhausted)
            }
        }
    }

    /// Runs `work` with a part of the remaining budget, so that one hard question leaves some for
    /// others.
    pub(super) fn within<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Exhausted>,
    ) -> Result<T, Exhausted> {
        /// The share of the budget that one question may take: one in this many steps.
        const PART: u64 = 16;
        if self.is_spent() {
            return Err(Exhausted);
        }
        let share = self.left.min((self.total / PART).max(1));
        let mut part = Self::new(share);
        let done = work(&mut part);
        self.left -= part.spent();
        done
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Self::DEFAULT)
    }
}

/// The budget was spent before the question was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exhausted;
