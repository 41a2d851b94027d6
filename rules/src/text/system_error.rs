//! Errors of the operating system in words alone.

/// The words for an error, without the number that the standard library appends to those of an error of
/// the system, ` (os error 2)`.
#[must_use]
pub fn without_error_number(text: &str) -> &str {
    let is_number = |rest: &str| {
        rest.strip_suffix(')')
            .is_some_and(|number| number.parse::<i32>().is_ok())
    };
    match text.rsplit_once(" (os error ") {
        Some((words, rest)) if is_number(rest) => words,
        Some(_) | None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_number_of_the_system_is_left_out_and_nothing_else() {
        let error = io::Error::from_raw_os_error(2).to_string();
        assert_eq!(without_error_number(&error), "No such file or directory");
        for kept in ["a (os error x)", "a (os error 2) b", "(os error 2"] {
            assert_eq!(without_error_number(kept), kept);
        }
    }
}
