//! Writes lookups: tables of the image that map the values of a narrow field to its classes.

use firewall_ebpf::{
    field::NO_PROTOCOL,
    image::{FIELD_PAGES, PAGE},
};

use crate::{
    compiler::{
        address::{Depths, trie},
        classes::Classes,
        error::CompileError,
        pages::pages,
        writer::Writer,
    },
    field::OptionGroups,
};

/// A lookup in the image.
pub(super) struct Lookup {
    /// Its offset; of a trie, the reference to its root.
    pub(super) at: u32,
    /// The maximum number of loads that a search takes.
    pub(super) loads: u32,
    /// The maximum number of dependent loads among them.
    pub(super) chain: u32,
    /// The maximum number of nodes that a search visits.
    pub(super) nodes: u32,
}

/// Writes the lookup of protocols and TCP flags.
///
/// # Errors
///
/// [`CompileError::TooLarge`].
pub(super) fn protocol(
    classes: &Classes<u16>,
    writer: &mut Writer,
) -> Result<Lookup, CompileError> {
    writer.align(8)?;
    let at = writer.offset();
    let keys = by_value(classes, NO_PROTOCOL as usize);
    writer.u16s(keys.into_iter().chain([classes.outside.0 as u16]))?;
    Ok(Lookup {
        at,
        loads: 1,
        chain: 1,
        nodes: 1,
    })
}

/// Writes the lookup of a field with `count` values, which every packet of the section has.
///
/// # Errors
///
/// [`CompileError::TooLarge`].
pub(super) fn direct(
    classes: &Classes<u16>,
    count: u32,
    writer: &mut Writer,
) -> Result<Lookup, CompileError> {
    writer.align(8)?;
    let at = writer.offset();
    writer.u16s(by_value(classes, count as usize))?;
    Ok(Lookup {
        at,
        loads: 1,
        chain: 1,
        nodes: 1,
    })
}

/// Writes the lookup of IPv4 options: the bit of the group of each option, and the class of each
/// set of groups.
///
/// # Errors
///
/// [`CompileError::TooLarge`].
pub(super) fn options(
    classes: &Classes<u16>,
    groups: &OptionGroups,
    writer: &mut Writer,
) -> Result<Lookup, CompileError> {
    writer.align(8)?;
    let at = writer.offset();
    // There are at most 8 groups.
    let bits: Vec<u8> = (0..=u8::MAX)
        .map(|option| groups.bits_of(&[option]) as u8)
        .collect();
    writer.bytes(&bits)?;
    writer.u16s(by_value(classes, 1 << groups.len()))?;
    Ok(Lookup {
        at,
        // A header has at most 40 options.
        loads: 41,
        chain: 2,
        nodes: 1,
    })
}

/// Writes the lookup of a field of 16 bits, which packets may lack.
///
/// # Errors
///
/// [`CompileError::TooLarge`].
pub(super) fn paged(classes: &Classes<u16>, writer: &mut Writer) -> Result<Lookup, CompileError> {
    writer.align(8)?;
    let at = writer.offset();
    let values = by_value(classes, 1 << 16);
    let absent = vec![classes.outside.0 as u16; PAGE as usize];
    let (numbers, pages) = pages(values.chunks(PAGE as usize).chain([absent.as_slice()]));
    let gap = FIELD_PAGES as usize / 2 - numbers.len();
    writer.u16s(numbers.into_iter().chain(std::iter::repeat_n(0, gap)))?;
    writer.u16s(pages.concat())?;
    Ok(Lookup {
        at,
        loads: 2,
        chain: 2,
        nodes: 1,
    })
}

/// Writes the lookup of interfaces, marks or MAC addresses.
///
/// # Errors
///
/// [`CompileError::TooLarge`].
pub(super) fn searched<K: trie::Key>(
    classes: &Classes<K>,
    writer: &mut Writer,
) -> Result<Lookup, CompileError> {
    let trie = trie::write(&classes.intervals, &mut Depths::default(), writer)?;
    Ok(Lookup {
        at: trie.root.bits(),
        loads: trie.loads,
        chain: trie.chain,
        nodes: trie.nodes,
    })
}

/// The class of each of the first `count` values; class numbers fit 16 bits, because more classes
/// are refused before.
fn by_value(classes: &Classes<u16>, count: usize) -> Vec<u16> {
    let starts = classes.intervals.iter();
    let ends = starts.clone().skip(1).map(|(first, _)| usize::from(*first));
    let values = starts
        .zip(ends.chain([1 << 16]))
        .flat_map(|((first, class), end)| {
            std::iter::repeat_n(class.0 as u16, end - usize::from(*first))
        });
    values.take(count).collect()
}
