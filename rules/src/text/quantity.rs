//! Numbers of things, as people read them.

/// A number with its digits in groups of three.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number of things, whose name is given in the singular: `1 rule`, `2 rules`, `1,000 addresses`.
#[must_use]
pub fn counted(number: impl TryInto<u64>, what: &str) -> String {
    // Only numbers of more than 64 bits do not fit.
    let number = number.try_into().unwrap_or(u64::MAX);
    let ending = match number {
        1 => "",
        _ if what.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {what}{ending}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_groups_of_thousands() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn one_thing_has_no_plural() {
        for (number, words) in [(0_u32, "0 steps"), (1, "1 step"), (1000, "1,000 steps")] {
            assert_eq!(counted(number, "step"), words);
        }
        assert_eq!(counted(1_usize, "address"), "1 address");
        assert_eq!(counted(2_u64, "address"), "2 addresses");
    }
}
