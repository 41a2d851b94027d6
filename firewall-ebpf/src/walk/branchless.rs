//! Choices without a branch: which way one would go is as random as packets are.

/// `yes` when there is no `difference`, else `no`.
#[inline(always)]
pub(super) const fn unless(difference: u64, yes: u64, no: u64) -> u64 {
    // All ones when some bit is set.
    let differs = ((difference | difference.wrapping_neg()) as i64 >> 63) as u64;
    yes ^ (yes ^ no) & differs
}
