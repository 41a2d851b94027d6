//! How the fields of a section are read.

/// Fields of a section.
macro_rules! fields {
    ($image:ident, $head:ident, $of:ident, $($field:ident),+) => {
        ($($image.field($head, offset_of!($of, $field))),+)
    };
}
pub(super) use fields;
