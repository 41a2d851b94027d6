//! What the rules of a generation say, kept with its metadata in the image: as JSON, compressed, in base64.

use std::io::{Read as _, Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use rules::language::Listing;
use serde::{Deserialize, Serialize};

/// A listing as metadata hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PackedListing(String);

/// The maximum length in base64. An image is in memory that the kernel does not swap, and on Linux 5.10 it has at most
/// 4 MiB.
const MAX_PACKED: usize = 256 << 10;

/// The maximum length of the JSON. One that was packed is much shorter: Deflate makes it at most a thousand times smaller.
const MAX_JSON: u64 = 256 << 20;

impl PackedListing {
    /// Packs a listing; `None` where it takes too much room.
    pub(crate) fn of(listing: &Listing) -> Option<Self> {
        let json = serde_json::to_vec(listing).ok()?;
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&json).ok()?;
        let packed = encoder.finish().ok()?;
        let text = STANDARD.encode(packed);
        (text.len() <= MAX_PACKED).then_some(Self(text))
    }

    /// The listing; `None` if it is damaged, or another version packed it in another form.
    pub(crate) fn unpacked(&self) -> Option<Listing> {
        let packed = STANDARD.decode(&self.0).ok()?;
        let mut json = Vec::new();
        let mut decoder = DeflateDecoder::new(packed.as_slice()).take(MAX_JSON);
        decoder.read_to_end(&mut json).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

#[cfg(test)]
mod tests {
    use rules::language::{ListedField, ListedRule, ListedTerms};

    use super::*;

    /// Rules whose terms have nothing in common.
    fn listing(rules: u64) -> Listing {
        let rule = |number: u64| ListedRule {
            enabled: true,
            fields: vec![ListedField {
                field: "src".to_owned(),
                terms: ListedTerms {
                    terms: vec![format!(
                        "{:016x}",
                        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    )],
                    more: 3,
                },
            }],
            log: None,
        };
        Listing {
            rules: (1..=rules).map(rule).collect(),
            sets: Vec::new(),
        }
    }

    #[test]
    fn a_listing_is_unpacked_as_it_was_packed() {
        for listing in [Listing::default(), listing(1), listing(1000)] {
            let packed = PackedListing::of(&listing).unwrap();
            assert_eq!(packed.unpacked(), Some(listing));
        }
    }

    #[test]
    fn one_that_takes_too_much_room_is_left_out() {
        assert_eq!(PackedListing::of(&listing(100_000)), None);
    }

    #[test]
    fn what_is_damaged_is_no_listing() {
        let PackedListing(text) = PackedListing::of(&listing(10)).unwrap();
        let half = text[..text.len() / 8 * 4].to_owned();
        for text in [half, "!".to_owned(), String::new()] {
            assert_eq!(PackedListing(text).unpacked(), None);
        }
    }
}
