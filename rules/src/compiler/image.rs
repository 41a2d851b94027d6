//! Compiled images.

use super::plan::Plan;

/// A table image, laid out as [`firewall_ebpf::image`] describes.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    bytes: Vec<u8>,
    plan: Plan,
}

impl Image {
    /// An image consisting of these bytes.
    pub(super) fn new(bytes: Vec<u8>, plan: Plan) -> Self {
        Self { bytes, plan }
    }

    /// The image; its length is a multiple of 8.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The structures that the image consists of.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image")
            .field("length", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
