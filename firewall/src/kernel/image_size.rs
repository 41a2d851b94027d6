//! The byte length of image maps: one of a few size classes, since the program is verified for
//! one length and every image that is to take its place must have it.

use firewall_ebpf::abi::{MAX_IMAGE_SIZE, MIN_IMAGE_SIZE};

/// The byte length of an image map, a power of two within the ABI's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ImageSize(u32);

impl ImageSize {
    /// The factor by which a map must be too large before a reload replaces it by a smaller one.
    const SLACK: u32 = 8;

    /// The smallest size that holds an image of `length` bytes; `None` above the ABI's limit.
    pub(crate) fn for_length(length: usize) -> Option<Self> {
        let size = u32::try_from(length).ok()?.checked_next_power_of_two()?;
        (size <= MAX_IMAGE_SIZE).then(|| Self(size.max(MIN_IMAGE_SIZE)))
    }

    /// The largest size of at most `limit` bytes; the smallest of all when there is none.
    pub(crate) fn within(limit: u32) -> Self {
        let size = 1_u32 << limit.clamp(MIN_IMAGE_SIZE, MAX_IMAGE_SIZE).ilog2();
        Self(size)
    }

    /// The size to use for an image of this size when maps of size `present` are in place: the
    /// present one, unless it is too small, far too large, or larger than `most`.
    pub(crate) fn given(self, present: Self, most: Self) -> Self {
        if self > present || present > most || self.0.saturating_mul(Self::SLACK) <= present.0 {
            self
        } else {
            present
        }
    }

    /// The size in bytes.
    pub(crate) fn bytes(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_power_of_two_within_the_limits() {
        let bytes = |length| ImageSize::for_length(length).map(ImageSize::bytes);
        assert_eq!(bytes(0), Some(MIN_IMAGE_SIZE));
        assert_eq!(bytes(65_536), Some(65_536));
        assert_eq!(bytes(65_537), Some(131_072));
        assert_eq!(bytes(MAX_IMAGE_SIZE as usize), Some(MAX_IMAGE_SIZE));
        assert_eq!(bytes(MAX_IMAGE_SIZE as usize + 1), None);
        assert_eq!(bytes(usize::MAX), None);
    }

    #[test]
    fn maps_are_kept_until_too_small_or_far_too_large() {
        let size = |length| ImageSize::for_length(length).unwrap();
        let most = size(1 << 28);
        assert_eq!(size(1 << 20).given(size(1 << 18), most), size(1 << 20));
        assert_eq!(size(1 << 18).given(size(1 << 20), most), size(1 << 20));
        assert_eq!(size(1 << 17).given(size(1 << 20), most), size(1 << 17));
        assert_eq!(
            size(1 << 18).given(size(1 << 20), size(1 << 19)),
            size(1 << 18)
        );
    }
}
