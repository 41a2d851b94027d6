//! The steps of the demonstration, in order.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use benches::{
    bpffs::BpfFs,
    interrupt::Interrupt,
    mix::{Flow, Mix},
    network::Network,
    objects::{self, Object},
    traffic::{Arrivals, Limit, Receiver, Sender, Sent},
};

use crate::{
    edit::RuleFiles,
    firewall::{ApplyProcess, Counts, FirewallCommand},
    flows::{self, FlowCase},
    ledger::{Ledger, Stage},
};

/// The timeout for the kernel to free released objects.
const FREEING: Duration = Duration::from_secs(5);

/// The timeout for the firewall to put an edited file in force.
const RELOADING: Duration = Duration::from_secs(10);

/// The options of the demonstration.
pub(crate) struct TourOptions<'a> {
    pub(crate) rules: &'a Path,
    pub(crate) rate: u32,
    pub(crate) seconds: u32,
    pub(crate) seed: u64,
}

/// Runs the demonstration with the `firewall` command at `binary`.
pub(crate) fn run(binary: &Path, plan: &TourOptions<'_>, interrupt: &Interrupt) -> Result<()> {
    let began = Instant::now();
    let files = RuleFiles::copy(plan.rules)?;
    let bpffs = BpfFs::mount()?;
    let network = Network::new()?;
    let link = network.link();
    let (host, peer) = (&link.host, &link.peer);
    println!("1. A test network, apart from the machine's own: two network namespaces, joined by");
    println!(
        "   {} ({}, {}), which is to be guarded, and",
        host.interface, host.ipv4, host.ipv6
    );
    println!(
        "   {} ({}, {}), from which the traffic comes.\n",
        peer.interface, peer.ipv4, peer.ipv6
    );

    let run_dir = tempfile::Builder::new().prefix("fw-run-").tempdir()?;
    let firewall = FirewallCommand {
        binary,
        bpffs: bpffs.path(),
        run_dir: run_dir.path().join("run"),
        namespace: &network.host,
    };
    println!("2. firewall apply {}", plan.rules.display());
    let mut daemon = firewall.apply(&files.rules(), interrupt)?;
    network
        .xdp_program(host)?
        .with_context(|| format!("there is no XDP program on `{}`", host.interface))?;
    println!("   It was verified, loaded and attached. firewall status:\n");
    firewall.show_status()?;
    let mut seen = &daemon.objects()? | &firewall.objects()?;

    let cases = flows::cases(link, plan.seed);
    let mut show = Show {
        firewall: &firewall,
        network: &network,
        plan,
        interrupt,
        mix: Mix::new(plan.seed, cases.iter().map(flow)),
        sent: vec![0; cases.len()],
        counts: firewall.counters()?,
        cases: &cases,
    };
    println!(
        "3. {} seconds of traffic, {} packets a second, {} flows mixed.",
        plan.seconds,
        plan.rate,
        cases.len()
    );
    show.stage(Stage::Before, || Ok(()))?;

    println!("4. While traffic flows, the files are edited and SIGHUP is sent:");
    show.stage(Stage::Change, || {
        reload(&files, &firewall, &mut daemon, interrupt)
    })?;
    println!("   No packet of a flow that both rule files judge alike was judged otherwise, and");
    println!("   each other flow changed its verdict once. Kept rules count on.\n");
    seen.extend(daemon.objects()?);
    seen.extend(firewall.objects()?);

    println!("5. The same traffic under the edited rules.");
    show.stage(Stage::After, || Ok(()))?;

    println!("6. SIGTERM.");
    let status = daemon.terminate()?;
    ensure!(status.success(), "the firewall ended with {status}");
    check_nothing_is_left(&network, &bpffs, &firewall.run_dir, &seen)?;
    println!(
        "   Nothing is left: no program on {}, no pin, no socket, and none of the {} that",
        host.interface,
        describe(&seen)
    );
    println!("   the firewall had in the kernel.\n");
    println!(
        "All numbers added up. It took {} seconds.",
        began.elapsed().as_secs()
    );
    Ok(())
}

fn flow(case: &FlowCase) -> Flow {
    Flow::new(case.name).packets(case.packets.iter().cloned())
}

/// State shared by all stages.
struct Show<'a> {
    firewall: &'a FirewallCommand<'a>,
    network: &'a Network,
    plan: &'a TourOptions<'a>,
    interrupt: &'a Interrupt,
    cases: &'a [FlowCase],
    mix: Mix,
    /// The number of packets of each flow sent so far.
    sent: Vec<u64>,
    /// The counters at the end of the previous stage.
    counts: Counts,
}

impl Show<'_> {
    /// Sends traffic, runs `meanwhile` after a third of the time, and checks the balance.
    fn stage(&mut self, stage: Stage, meanwhile: impl FnOnce() -> Result<()> + Send) -> Result<()> {
        let (sent, arrived) = self.traffic(meanwhile)?;
        let later = self.firewall.counters()?;
        println!();
        let earlier = std::mem::replace(&mut self.counts, later);
        Ledger {
            stage,
            cases: self.cases,
            sent_before: &self.sent,
            sent: &sent,
            arrived: &arrived,
            earlier: &earlier,
            later: &self.counts,
        }
        .close()?;
        for (sum, packets) in self.sent.iter_mut().zip(sent.packets) {
            *sum += packets;
        }
        Ok(())
    }

    fn traffic(
        &mut self,
        meanwhile: impl FnOnce() -> Result<()> + Send,
    ) -> Result<(Sent, Arrivals)> {
        let link = self.network.link();
        let time = Duration::from_secs(self.plan.seconds.into());
        let mut sender = Sender::open(&self.network.peer, &link.peer)?;
        let receiver = Receiver::start(&self.network.host, &link.host, self.mix.len())?;
        let (mix, rate, interrupt) = (&mut self.mix, self.plan.rate, self.interrupt);
        let sent = thread::scope(|scope| {
            let sending =
                scope.spawn(move || sender.run(mix, rate, Limit::Time(time), interrupt.flag()));
            interrupt.sleep(time / 3)?;
            meanwhile()?;
            sending.join().map_err(|_| anyhow!("the sender panicked"))?
        })?;
        let arrived = receiver.finish()?;
        self.interrupt.check()?;
        Ok((sent, arrived))
    }
}

/// Edits the files, sends SIGHUP, and waits until the edited rules count.
fn reload(
    files: &RuleFiles,
    firewall: &FirewallCommand<'_>,
    daemon: &mut ApplyProcess<'_>,
    interrupt: &Interrupt,
) -> Result<()> {
    for change in files.edit()? {
        println!("   {}", change.file);
        for line in change.lines {
            println!("     {line}");
        }
    }
    println!();
    daemon.hang_up()?;
    interrupt
        .wait_for(RELOADING, || {
            if let Some(status) = daemon.ended()? {
                bail!("the firewall ended with {status}");
            }
            let counts = firewall.counters()?;
            Ok(counts.contains_key("ntp").then_some(()))
        })?
        .with_context(|| format!("the edited rules are not in force after {RELOADING:?}"))?;
    Ok(())
}

/// Fails if anything of the firewall is left.
fn check_nothing_is_left(
    network: &Network,
    bpffs: &BpfFs,
    run_dir: &Path,
    seen: &BTreeSet<Object>,
) -> Result<()> {
    let host = &network.link().host;
    let program = network.xdp_program(host)?;
    ensure!(
        program.is_none(),
        "an XDP program is still on `{}`",
        host.interface
    );
    let pins = bpffs.pins()?;
    ensure!(pins.is_empty(), "pins are left: {pins:?}");
    // The folder itself may remain or not.
    let mut files = fs::read_dir(run_dir).into_iter().flatten();
    ensure!(
        files.next().is_none(),
        "files are left in `{}`",
        run_dir.display()
    );
    // The kernel frees maps and programs some time after the last use.
    let deadline = Instant::now() + FREEING;
    loop {
        let left: BTreeSet<_> = objects::all()?.intersection(seen).copied().collect();
        if left.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "BPF objects are left: {left:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The number of objects of each kind, in words.
fn describe(objects: &BTreeSet<Object>) -> String {
    let words: Vec<_> = objects::ObjectKind::ALL
        .into_iter()
        .map(|kind| {
            let count = objects.iter().filter(|object| object.kind == kind).count();
            let plural = if count == 1 { "" } else { "s" };
            format!("{count} {}{plural}", kind.name())
        })
        .collect();
    words.join(", ")
}
