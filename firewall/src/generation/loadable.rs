//! What the kernel is given to bring a generation into force, wherever it comes from.

use crate::{
    generation::{metadata::Metadata, slots::Assignment},
    kernel::image_size::ImageSize,
};

/// A generation that can be brought into force.
#[derive(Clone, Copy)]
pub(crate) struct Loadable<'a> {
    /// What its image tells of itself.
    pub(crate) metadata: &'a Metadata,
    /// Where its rules are counted.
    pub(crate) assignment: &'a Assignment,
    /// Its image.
    pub(crate) image: &'a [u8],
    /// The smallest length of a map that holds the image.
    pub(crate) size: ImageSize,
}
