//! The text form of numbers: a single one (`80`) or a range (`8000-8099`).
//!
//! This module owns the grammar. It does not know what the numbers mean.

use std::{num::ParseIntError, str::FromStr};

/// Why a text is not a number or a range of numbers of the type asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberError {
    /// It is neither.
    NotANumber,
    /// It is, but larger than the type holds.
    TooLarge,
    /// The range ends before it starts.
    Backwards,
}

/// Reads a number or a range, both ends included.
pub(crate) fn range<T>(text: &str) -> Result<(T, T), NumberError>
where
    T: Copy + Ord + FromStr<Err = ParseIntError>,
{
    range_of(text, single)
}

/// Reads a number or a range like [`range`], whose numbers may be hexadecimal after `0x`.
pub(crate) fn hex_range<T>(text: &str) -> Result<(T, T), NumberError>
where
    T: Copy + Ord + TryFrom<u64> + FromStr<Err = ParseIntError>,
{
    range_of(text, |text| match text.strip_prefix("0x") {
        Some(digits) if is_hexadecimal(digits) => {
            // Only the size can still be wrong.
            let number = u64::from_str_radix(digits, 16).map_err(|_| NumberError::TooLarge)?;
            T::try_from(number).map_err(|_| NumberError::TooLarge)
        }
        Some(_) | None => single(text),
    })
}

fn is_hexadecimal(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn range_of<T: Copy + Ord>(
    text: &str,
    single: impl Fn(&str) -> Result<T, NumberError>,
) -> Result<(T, T), NumberError> {
    let (first, last) = match text.split_once('-') {
        None => {
            let value = single(text)?;
            (value, value)
        }
        Some((first, last)) => (single(first)?, single(last)?),
    };
    if first > last {
        return Err(NumberError::Backwards);
    }
    Ok((first, last))
}

/// Reads a decimal number without sign and leading zeros.
pub(crate) fn single<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, NumberError> {
    let leading_zero = text.len() > 1 && text.starts_with('0');
    if text.is_empty() || leading_zero || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NumberError::NotANumber);
    }
    // Only the size can still be wrong.
    text.parse().map_err(|_| NumberError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_are_read() {
        assert_eq!(range::<u8>("0"), Ok((0, 0)));
        assert_eq!(range::<u16>("8000-8099"), Ok((8000, 8099)));
        assert_eq!(range::<u8>("255-255"), Ok((255, 255)));
        assert_eq!(hex_range::<u16>("0x88cc"), Ok((0x88cc, 0x88cc)));
        assert_eq!(hex_range::<u16>("1536-0xFFFF"), Ok((1536, 65535)));
    }

    #[test]
    fn all_else_is_refused_with_its_reason() {
        for text in [
            "", "-", "1-", "-1", "+1", "a", "01", "1 ", "1-2-3", "0x10", "1.5",
        ] {
            assert_eq!(range::<u8>(text), Err(NumberError::NotANumber), "{text}");
        }
        assert_eq!(range::<u8>("256"), Err(NumberError::TooLarge));
        assert_eq!(range::<u16>("1-65536"), Err(NumberError::TooLarge));
        assert_eq!(range::<u16>("2-1"), Err(NumberError::Backwards));
        for text in ["0x", "0x+1", "88cc", "x88", "0x1-"] {
            assert_eq!(
                hex_range::<u16>(text),
                Err(NumberError::NotANumber),
                "{text}"
            );
        }
        assert_eq!(hex_range::<u16>("0x10000"), Err(NumberError::TooLarge));
        assert_eq!(hex_range::<u16>("0x2-0x1"), Err(NumberError::Backwards));
    }
}
