//! Reasons why an image cannot be updated.

/// The reason why a rule set needs a full build.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Obstacle {
    /// Something other than members of address sets has changed.
    #[error("the rules differ in more than the members of their address sets")]
    Rules,
    /// The image is for other interfaces, or has other counter slots.
    #[error("interfaces or counters are others than before")]
    Target,
    /// A set has become empty or complete, or is no longer empty or complete.
    #[error("an address set has become or is no longer empty or all addresses of a family")]
    Extent,
    /// Sets that were equal no longer are.
    #[error("rules that named the same addresses name different ones")]
    Parted,
    /// So much has changed that a full build costs no more.
    #[error("{changes} ranges of addresses have changed, which is too many")]
    ManyChanges {
        /// The number of ranges that have changed.
        changes: usize,
    },
    /// Too many addresses would have to be added to a hash table of single addresses.
    #[error("long ranges have changed among single addresses")]
    LongRange,
    /// Some addresses are in a combination of sets that no address was in before.
    #[error("some addresses are in sets that had no address in common before")]
    NewClass,
    /// The image would contain too much unused space, or be too large for its target.
    #[error("the image would grow too much")]
    Growth,
    /// The image has a node of an unknown kind.
    #[error("the image has a node of an unknown kind")]
    NoSuchNode,
}
