//! What came of explaining packets.

/// What came of explaining packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Explained {
    /// All are explained.
    Done,
    /// All are explained, which shows a defect.
    Defect,
    /// The next packet arrived on an interface that the rules were not compiled for.
    Unknown(String),
}

impl Explained {
    /// All are explained.
    pub(super) const fn of(is_defect: bool) -> Self {
        if is_defect { Self::Defect } else { Self::Done }
    }
}
