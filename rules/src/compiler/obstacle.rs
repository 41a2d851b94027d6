//! Why an image cannot be updated.

/// Why a rule set needs a full build.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Obstacle {
    /// More than members of address sets has changed.
    #[error("the rules differ in more than the members of their address sets")]
    Rules,
    /// The image is for other interfaces, or has other counter slots.
    #[error("interfaces or counters are others than before")]
    Target,
    /// A set has become empty, or holds every address, or no longer does.
    #[error("an address set has become or is no longer empty or all addresses of a family")]
    Extent,
    /// Sets that were the same no longer are.
    #[error("rules that named the same addresses name different ones")]
    Parted,
    /// A full build is as good.
    #[error("{changes} ranges of addresses have changed, which is too many")]
    ManyChanges {
        /// The ranges that have changed.
        changes: usize,
    },
    /// A hash table of single addresses would have to take in many.
    #[error("long ranges have changed among single addresses")]
    LongRange,
    /// Some addresses are in a combination of sets that no address was in before.
    #[error("some addresses are in sets that had no address in common before")]
    NewClass,
    /// The image would hold too much that is no longer in use, or be too large for its target.
    #[error("the image would grow too much")]
    Growth,
    /// The image has a node of a kind that is not known.
    #[error("the image has a node of an unknown kind")]
    NoSuchNode,
}
