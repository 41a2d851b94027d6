//! The input for the kernel to bring a generation into force, new or previous.

use crate::{
    generation::{metadata::Metadata, slots::Assignment},
    kernel::image_size::ImageSize,
};

/// A generation that can be brought into force.
#[derive(Clone, Copy)]
pub(crate) struct Loadable<'a> {
    /// Its metadata.
    pub(crate) metadata: &'a Metadata,
    /// The counter slots of its rules.
    pub(crate) assignment: &'a Assignment,
    /// Its image.
    pub(crate) image: &'a [u8],
    /// The smallest length of a map that holds the image.
    pub(crate) size: ImageSize,
}
