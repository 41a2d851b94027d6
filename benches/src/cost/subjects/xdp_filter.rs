//! xdp-filter of xdp-tools, which knows lists of addresses and ports.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use aya::{
    Pod,
    maps::{Map, MapData, PerCpuHashMap, PerCpuValues},
    programs::{ProgramFd, ProgramInfo},
    util::nr_cpus,
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::{
    bpffs::BpfFs,
    cost::{
        case::{Case, Rules},
        loading::Loading,
        site::Site,
        subject::{Entry, Subject},
        subject_kind::SubjectKind,
        testbed::Testbed,
        tool,
        verdicts::Verdicts,
    },
    rulesets::{AddressList, AddressRange, Verdict},
};

/// The folder of its pins, which cannot be changed.
const PINS: &str = "/sys/fs/bpf";

/// The number of addresses of one family that its maps hold (`lib/xdp-tools`, `filter_ipv4`).
const CAPACITY: usize = 10_000;

/// The value of an address in its maps: it is a source (`MAP_FLAG_SRC`,
/// `xdp-filter/common_kern_user.h`).
const SOURCE: u64 = 1;

struct XdpFilter {
    command: PathBuf,
    version: String,
    testbed: Testbed,
    loading: Loading,
    site: Site,
    _pins: Pins,
}

/// Loads it and fills its lists.
pub(in crate::cost) fn set_up(kind: SubjectKind, case: &Case, site: &Site) -> Result<Entry> {
    let absent = |reason: &str| Ok(Entry::unable(kind, reason));
    let (list, policy) = match config(case) {
        Ok(config) => config,
        Err(reason) => return absent(reason),
    };
    let command = match tool::find("xdp-filter", "xdp-tools") {
        Ok(command) => command,
        Err(reason) => return absent(&reason),
    };
    let testbed = Testbed::new()?;
    let pins = Pins::new()?;
    let host = &testbed.network().host;
    let version = tool::version(host, &command, &["load", "--version"], site)?;
    let (loading, ()) = tool::loading(|| {
        let interface = &testbed.host().interface;
        let arguments = [
            "load",
            interface,
            "--mode",
            "native",
            "--policy",
            policy,
            "--features",
            "ipv4,ipv6",
        ];
        tool::run(host, &command, &arguments, "", site)?;
        fill(list)
    })?;
    Ok(Entry::Ready(Box::new(XdpFilter {
        command,
        version,
        testbed,
        loading,
        site: site.clone(),
        _pins: pins,
    })))
}

/// The list, and the option for the verdict on other packets.
fn config(case: &Case) -> Result<(&AddressList, &'static str), &'static str> {
    let (list, policy) = match &case.rules {
        Rules::List(list, policy) => (list, policy),
        Rules::Set(_) => return Err("it knows no rules on more than one field"),
        Rules::File(_) => return Err(tool::NO_FILE),
    };
    let is_single = |member: &AddressRange| member.first() == member.last();
    if !list.members.iter().all(is_single) {
        return Err("it knows single addresses only");
    }
    if list.members.len() > CAPACITY {
        return Err("its lists hold 10,000 addresses");
    }
    match (policy.listed, policy.others) {
        (Verdict::Drop, Verdict::Pass) => Ok((list, "allow")),
        (Verdict::Pass, Verdict::Drop) => Ok((list, "deny")),
        (Verdict::Drop, Verdict::Drop) | (Verdict::Pass, Verdict::Pass) => {
            Err("it drops the listed or the others, not both")
        }
    }
}

/// Fills its lists as `xdp-filter ip ADDRESS --mode src` does, which takes one address per call.
fn fill(list: &AddressList) -> Result<()> {
    let mut ipv4 = open::<[u8; 4]>("filter_ipv4")?;
    let mut ipv6 = open::<[u8; 16]>("filter_ipv6")?;
    let source = || anyhow::Ok(PerCpuValues::try_from(vec![SOURCE; cpus()?])?);
    for member in &list.members {
        match member.first() {
            IpAddr::V4(address) => ipv4.insert(address.octets(), source()?, 0)?,
            IpAddr::V6(address) => ipv6.insert(address.octets(), source()?, 0)?,
        }
    }
    Ok(())
}

fn cpus() -> Result<usize> {
    nr_cpus().map_err(|(path, error)| anyhow::anyhow!("cannot read `{path}`: {error}"))
}

fn open<K: Pod>(name: &str) -> Result<PerCpuHashMap<MapData, K, u64>> {
    let path = Path::new(PINS).join("xdp-filter").join(name);
    let data = MapData::from_pin(&path)
        .with_context(|| format!("xdp-filter has no map `{}`", path.display()))?;
    Ok(Map::PerCpuHashMap(data).try_into()?)
}

impl Subject for XdpFilter {
    fn name(&self) -> &'static str {
        SubjectKind::XdpFilter.name()
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn testbed(&self) -> &Testbed {
        &self.testbed
    }

    fn loading(&self) -> Loading {
        self.loading
    }

    fn verdicts(&self) -> Result<Option<Verdicts>> {
        let host = &self.testbed.network().host;
        let text = tool::run(host, &self.command, &["status"], "", &self.site)?;
        Ok(Some(read(&text)))
    }

    fn program(&self) -> Result<Option<ProgramFd>> {
        let path = Path::new(PINS).join("xdp-filter/programs");
        let path = path.join(&self.testbed.host().interface);
        let pin = path.read_dir()?.next().context("xdp-filter has no pin")??;
        Ok(Some(ProgramInfo::from_pin(pin.path())?.fd()?))
    }
}

/// Reads the lines `XDP_DROP  packets pkts ...` of its status.
fn read(text: &str) -> Verdicts {
    let packets = |action: &str| {
        text.lines()
            .find_map(|line| {
                let mut words = line.split_whitespace();
                (words.next()? == action).then(|| words.next()?.parse().ok())?
            })
            .unwrap_or(0)
    };
    Verdicts {
        passed: packets("XDP_PASS"),
        dropped: packets("XDP_DROP"),
        // It does not count them separately.
        unmatched: 0,
    }
}

/// A private BPF file system mounted on the folder of its pins, visible to this process and those
/// that it starts, which must be in their own mount namespace.
struct Pins {
    _bpffs: BpfFs,
}

impl Pins {
    fn new() -> Result<Self> {
        let bpffs = BpfFs::mount()?;
        mount(
            Some(bpffs.path()),
            PINS,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .with_context(|| format!("cannot mount over `{PINS}`"))?;
        Ok(Self { _bpffs: bpffs })
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        // The mount namespace disappears with the process; there is no caller to report an error
        // to.
        let _ = umount2(PINS, MntFlags::MNT_DETACH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_from_the_status() {
        let text = "\
Aggregate per-action statistics:
  XDP_ABORTED                                   1 pkts           0 KiB
  XDP_DROP                                     20 pkts           1 KiB
  XDP_PASS                                      3 pkts           0 KiB
";
        assert_eq!(
            read(text),
            Verdicts {
                passed: 3,
                dropped: 20,
                unmatched: 0
            }
        );
    }
}
