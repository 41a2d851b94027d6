//! Keeps the page about the table image true: the dump must be that of the image compiled from the
//! rules on the page, and the loads must be those of the walker for the packet on the page.
//!
//! The annotations are made by [`annotate`], which follows the offsets in the image and must
//! account for every byte. After a change of the layout
//!
//! ```text
//! FIREWALL_RENEW=1 cargo test -p rules --test image_page
//! ```
//!
//! writes both blocks to the page.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod annotate;
mod dump;
mod recorder;

use std::{env, fmt::Write as _, fs, ops::Range, sync::Arc};

use firewall_ebpf::{
    image::SECTION_IPV4,
    parse::parse,
    walk::{Classification, classify},
};
use rules::{
    Context,
    compiler::{InterfaceIndex, Target, compile},
    diagnostics::{Source, render},
    model::Verdict,
    notation, walker,
};

use self::{annotate::annotate, dump::Dump, recorder::Recorder};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/image.md");

/// The slots of the two rules, as the page says.
const SLOTS: [u32; 2] = [64, 65];

/// A stand-in for the metadata, which the firewall writes as JSON.
const METADATA: &[u8] = b"metadata";

#[test]
fn the_page_shows_the_image_of_its_rules_and_the_walk_of_its_packet() {
    let page = fs::read_to_string(PAGE).unwrap();
    let image = image(&page[block(&page, "toml")]);
    let dump = annotate(&image);
    let walk = walk(&image, &dump, &page[block(&page, "packets")]);
    let renewed = replace(&page, "dump", &dump.render());
    let renewed = replace(&renewed, "loads", &walk);
    if env::var_os("FIREWALL_RENEW").is_some_and(|value| value == "1") {
        fs::write(PAGE, renewed).unwrap();
        return;
    }
    assert!(
        page == renewed,
        "docs/image.md should have\n\n{}\n{walk}\n\
         help: `FIREWALL_RENEW=1 cargo test -p rules --test image_page` writes it",
        dump.render()
    );
}

/// The image of a rule file.
fn image(text: &str) -> Vec<u8> {
    let loaded = rules::load(&Arc::new(Source::new("rules.toml", text)), |_| {
        Err::<Source, _>("no list file")
    });
    let loaded = loaded.unwrap_or_else(|errors| {
        let shown: Vec<_> = errors.iter().map(render).collect();
        panic!("{}", shown.join("\n"))
    });
    let target = Target {
        interfaces: &[(InterfaceIndex(1), "eth0".to_owned())],
        slots: &SLOTS,
        metadata: METADATA,
        max_bytes: 1 << 20,
    };
    compile(&loaded.ruleset, &target).unwrap().bytes().to_vec()
}

/// The loads of a walk, in order, with the annotations of what they read.
fn walk(image: &[u8], dump: &Dump<'_>, packet: &str) -> String {
    let frame = notation::read(packet.trim()).unwrap().frame;
    let headers = parse(frame.as_slice()).unwrap();
    let recorder = Recorder::new(image);
    let context = Context::arriving(1);
    let found = classify(
        &recorder,
        frame.as_slice(),
        &headers,
        &context,
        &mut NoCounts,
    );
    let (slot, verdict) = match found {
        Classification::Pass(slot) => (slot.number(), Verdict::Pass),
        Classification::Drop(slot) => (slot.number(), Verdict::Drop),
        Classification::NoRule(reason) => panic!("no rule decides: {reason:?}"),
    };
    let expected = walker::walk(image, &frame, &context);
    assert_eq!(expected.decided, walker::Decided::Rule(slot));
    assert_eq!(expected.verdict, verdict);
    let mut text = String::new();
    for (offset, bytes) in recorder.loads() {
        text.push_str(&dump.row(offset, bytes));
    }
    let name = match verdict {
        Verdict::Pass => "pass",
        Verdict::Drop => "drop",
    };
    writeln!(text, "{name}, slot {slot}").unwrap();
    text
}

/// Fails on a count, because no rule of the page only counts.
struct NoCounts;

impl firewall_ebpf::walk::Counts for NoCounts {
    fn count(&mut self, slot: firewall_ebpf::image::RuleSlot) {
        panic!("slot {} counts", slot.number());
    }
}

/// The range of the contents of the code block of this kind, of which the page must have exactly
/// one.
fn block(page: &str, kind: &str) -> Range<usize> {
    let fence = format!("\n```{kind}\n");
    let start = page.find(&fence).expect("the page has the block") + fence.len();
    assert!(!page[start..].contains(&fence), "two blocks `{kind}`");
    let length = page[start..].find("```").expect("the block has an end");
    start..start + length
}

fn replace(page: &str, kind: &str, contents: &str) -> String {
    let range = block(page, kind);
    format!("{}{contents}{}", &page[..range.start], &page[range.end..])
}

#[test]
#[should_panic(expected = "annotated")]
fn a_byte_without_annotation_is_reported() {
    let mut image = image(
        "[firewall]\ninterfaces = [\"eth0\"]\n[[rule]]\nname = \"a\"\naction = \"drop\"\n\
         src = \"10.0.0.0/8\"\n[[rule]]\nname = \"b\"\naction = \"pass\"\nproto = \"tcp\"\n",
    );
    // Without the reference to it, the trie of sources is not found.
    let src = SECTION_IPV4 as usize;
    image[src..src + 4].copy_from_slice(&(1_u32 << 31).to_le_bytes());
    let _ = annotate(&image).render();
}
