//! Rows: rules that count, and those without a place among the pairs.
//!
//! A *row* is a bit vector over these rules: `summaries` words that say which words are not 0, then
//! the words themselves; bit `b` of word `w` is item `64 w + b` of the rows' items.

/// The maximum number of words, summary words and `count` matches that one walk over rows may visit.
pub const MAX_WALK: u32 = 128;
