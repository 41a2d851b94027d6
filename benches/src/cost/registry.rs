//! Sets up subjects by their kind.

use anyhow::Result;

use super::{
    case::Case,
    site::Site,
    subject::Entry,
    subject_kind::SubjectKind,
    subjects::{baseline, firewall, iptables, nftables, xdp_filter},
};

/// Sets up a subject of a kind for a case.
///
/// # Errors
///
/// If it could take part, but its commands fail or the kernel refuses.
pub fn set_up(kind: SubjectKind, case: &Case, site: &Site) -> Result<Entry> {
    match kind {
        SubjectKind::Baseline | SubjectKind::PassingBaseline => baseline::set_up(kind),
        SubjectKind::Firewall => firewall::set_up(case, site),
        SubjectKind::NftNetdev | SubjectKind::NftInet => nftables::set_up(kind, case, site),
        SubjectKind::Iptables | SubjectKind::IpSet => iptables::set_up(kind, case, site),
        SubjectKind::XdpFilter => xdp_filter::set_up(kind, case, site),
    }
}
