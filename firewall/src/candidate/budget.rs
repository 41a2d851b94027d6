//! The memory limit of image maps, as an option.

use std::fmt;

use firewall_ebpf::abi::{MAX_IMAGE_SIZE, MIN_IMAGE_SIZE};
use serde::{Deserialize, Serialize};

use crate::{kernel::image_size::ImageSize, text::format::bytes};

/// The maximum size of an image map in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Budget(u64);

impl Budget {
    /// The maximum that the program can address.
    pub(crate) const DEFAULT: Self = Self(MAX_IMAGE_SIZE as u64);

    /// The largest image map within the budget. Maps are powers of two.
    pub(crate) fn largest_map(self) -> ImageSize {
        ImageSize::within(u32::try_from(self.0).unwrap_or(u32::MAX))
    }

    /// Parses a number of bytes, which may have a unit: `K`, `M` or `G`, also as `KiB`, `MiB`,
    /// `GiB`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let shift = match unit.trim_start() {
            "" => 0,
            "K" | "KiB" => 10,
            "M" | "MiB" => 20,
            "G" | "GiB" => 30,
            _ => return Err("expected a number of bytes, such as `64MiB`".into()),
        };
        let number: u64 = number
            .parse()
            .map_err(|_| "expected a number of bytes, such as `64MiB`")?;
        match number.checked_mul(1 << shift) {
            Some(count) if count < u64::from(MIN_IMAGE_SIZE) => Err(format!(
                "expected at least {}, the smallest image map",
                bytes(MIN_IMAGE_SIZE.into())
            )),
            Some(count) => Ok(Self(count)),
            None => Err("expected fewer bytes".into()),
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_or_none() {
        for (text, count) in [
            ("65536", 65_536),
            ("64K", 65_536),
            ("64KiB", 65_536),
            ("64 MiB", 64 << 20),
            ("3M", 3 << 20),
            ("1G", 1 << 30),
        ] {
            assert_eq!(Budget::parse(text), Ok(Budget(count)), "{text}");
        }
        for text in ["", "MiB", "64MB", "-1", "1.5M", "65535", "99999999999G"] {
            assert!(Budget::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_map_is_no_larger_than_its_budget() {
        let map = |text| Budget::parse(text).unwrap().largest_map().bytes();
        assert_eq!(map("64K"), 1 << 16);
        assert_eq!(map("100M"), 64 << 20);
        assert_eq!(map("128M"), 128 << 20);
        assert_eq!(map("8G"), MAX_IMAGE_SIZE);
    }
}
