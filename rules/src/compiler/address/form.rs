//! The forms of the search for an address.

/// How an address is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchForm {
    /// A trie.
    Trie,
    /// A small trie in which every search takes the same steps.
    Uniform,
    /// A small trie with an entry for every value of the bits of a level.
    Multibit,
    /// A hash table of single addresses, with a trie for the others.
    Hash,
}

impl SearchForm {
    /// The name of the structure.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trie => "trie",
            Self::Uniform => "uniform trie",
            Self::Multibit => "multibit trie",
            Self::Hash => "hash table",
        }
    }
}
