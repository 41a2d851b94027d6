//! Compiles a [`Ruleset`](crate::model::Ruleset) to a table image.
//!
//! Each kind of packet has a section of its own, for packets in and for packets out: IPv4, IPv6, and
//! all other EtherTypes. In a section
//! (`section`), the values of a field that are matched by the same rules are one *class*
//! (`classes`). A trie (`address::trie`, `uniform`, `multibit`) or a hash table (`hash`), whichever
//! is cheaper (`search`), maps an address to its class, and a lookup (`l4::lookup`) a narrow field;
//! the classes of the narrow fields are fused to one (`l4::reduction`). The source, destination and
//! L4 classes lead to the first matching rule: through a direct table if there are few combinations
//! (`decide::direct_table`), through a table of pairs of address classes if there are few of those
//! (`grid`), and otherwise through lists of rules for pairs of address classes (`pairs`, `records`,
//! `wide`, `leaves`, `displacement`) and bit vectors (`rows`).
//!
//! If only members of address sets have changed, the previous image is patched instead (`update`).
//!
//! The compiler knows the layout of [`firewall_ebpf::image`]. It must not know TOML or the kernel.

mod address;
mod basis;
mod bit_vectors;
mod build;
mod classes;
pub mod cost;
mod culprits;
mod decide;
mod displacement;
mod error;
mod image;
mod kind;
mod l4;
mod obstacle;
mod pages;
mod plan;
mod reissue;
mod rules;
mod section;
mod stage;
mod target;
mod update;
mod view;
mod writer;

pub use self::{
    address::SearchForm,
    build::compile,
    error::CompileError,
    image::Image,
    kind::{PacketKind, SectionKind},
    obstacle::Obstacle,
    plan::{Part, Plan, SectionPlan},
    reissue::{is_same, reissue},
    stage::{Stage, StageTable},
    target::{InterfaceIndex, Target},
    update::Compiled,
};
