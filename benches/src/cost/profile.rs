//! A profile of the XDP program: samples of the CPU, attributed to the parts of its source.
//!
//! `perf` samples the CPU that processes the packets, by its clock, which virtual machines also
//! have. The kernel provides the machine code of a program and the source line of each piece. A
//! piece from the standard library, or from a helper that several parts use, belongs to the part
//! before it. A load that misses the caches shows up where its word is first needed, which may be
//! in a later part.

mod code;
mod part;
mod samples;

use std::{collections::BTreeMap, fmt, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{
    case::Case, clock::Clock, driver::Driver, machine::Machine, registry, site::Site,
    subject::Entry, subject_kind::SubjectKind,
};
use code::Code;
use part::Part;
use samples::Recording;

/// The number of packets sent between two checks of the time.
const SLICE: u32 = 100_000;

/// The minimum number of samples of the program for a meaningful profile.
const FEW: usize = 1000;

/// The result of profiling.
#[derive(Clone, Debug)]
pub struct Profile {
    case: String,
    machine: Machine,
    /// The number of samples in the program.
    samples: usize,
    /// The nanoseconds of a packet, including generating it and sending it through a veth pair.
    packet: f64,
    /// The nanoseconds of a packet in the program.
    nanoseconds: f64,
    /// The number of samples in each part.
    parts: BTreeMap<Part, usize>,
}

/// Sends the packets of a case to `firewall` for `time`, and samples the CPU meanwhile.
///
/// # Errors
///
/// If there is no `perf`, the kernel hides the addresses of programs, a step fails, or the process
/// is asked to end.
pub fn measure(case: &Case, time: Duration, cpu: usize, site: &Site) -> Result<Profile> {
    let perf = samples::find_perf()?;
    let Entry::Ready(firewall) = registry::set_up(SubjectKind::Firewall, case, site)? else {
        anyhow::bail!("`firewall` takes no part in `{}`", case.name);
    };
    let testbed = firewall.testbed();
    let clock = Clock::new(cpu)?;
    let mut driver = Driver::load(&case.packets, testbed)?;
    let program = firewall.program()?.context("`firewall` has no program")?;
    let code = Code::of(&program).context("cannot see the machine code of the program")?;
    driver.send(testbed, 0, SLICE, &clock)?;

    let recording = Recording::start(&perf, cpu)?;
    let (mut taken, mut sent) = (Duration::ZERO, 0_u32);
    while taken < time {
        site.interrupt.check()?;
        taken += driver.send(testbed, sent, SLICE, &clock)?.time;
        sent = sent.wrapping_add(SLICE);
    }
    let addresses = recording.end()?;

    let mut parts = BTreeMap::new();
    for address in &addresses {
        if let Some(part) = code.part(*address) {
            *parts.entry(part).or_insert(0) += 1;
        }
    }
    let samples = parts.values().sum();
    ensure!(
        samples >= FEW,
        "of {} samples, {samples} are of the program, too few to say anything",
        addresses.len()
    );
    let packet = taken.as_secs_f64() * 1e9 / f64::from(sent);
    Ok(Profile {
        case: case.name.clone(),
        machine: Machine::read()?,
        samples,
        packet,
        nanoseconds: packet * samples as f64 / addresses.len() as f64,
        parts,
    })
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, kernel, .. } = &self.machine;
        writeln!(f, "{} on {cpu}, Linux {kernel}", self.case)?;
        writeln!(
            f,
            "{:.0} of a packet's {:.0} ns are in the program; shares of {} samples",
            self.nanoseconds, self.packet, self.samples
        )?;
        let mut parts: Vec<_> = self.parts.iter().collect();
        parts.sort_by_key(|(_, samples)| std::cmp::Reverse(**samples));
        for (part, samples) in parts {
            let share = *samples as f64 / self.samples as f64;
            let nanoseconds = share * self.nanoseconds;
            writeln!(
                f,
                "{:5.1} %  {nanoseconds:5.1} ns  {}",
                share * 100.0,
                part.name()
            )?;
        }
        Ok(())
    }
}
