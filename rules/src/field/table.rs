//! Tables of names and their numbers.

pub(super) fn number<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    let (_, number) = table.iter().find(|(known, _)| *known == name)?;
    Some(*number)
}

pub(super) fn name<T: Copy + PartialEq>(
    table: &[(&'static str, T)],
    number: T,
) -> Option<&'static str> {
    let (name, _) = table.iter().find(|(_, known)| *known == number)?;
    Some(name)
}
