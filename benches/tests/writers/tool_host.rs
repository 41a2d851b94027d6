//! A host on which filters are loaded, and a peer that sends to it.

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use benches::{
    network::Network, rulesets::write::nftables::Hook, tools, traffic::Sender, tuple::Tuple,
};

/// Two namespaces and a folder for the input of tools.
pub(crate) struct ToolHost {
    network: Network,
    folder: tempfile::TempDir,
}

impl ToolHost {
    pub(crate) fn new() -> Self {
        Self {
            network: Network::new().unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The hooks of nft.
    pub(crate) fn hooks(&self) -> [Hook<'_>; 2] {
        let device = &self.network.link().host.interface;
        [Hook::Ingress { device }, Hook::Prerouting]
    }

    /// Runs a tool on the host to its end, which must be successful; returns its output.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = tools::command(program);
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = self.network.host.spawn(&mut command).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a tool with the input as a file, which is its last argument.
    pub(crate) fn give(&self, program: &str, arguments: &[&str], input: &str) {
        let path = self.folder.path().join("input");
        fs::write(&path, input).unwrap();
        let path = [path.to_str().unwrap()];
        self.run(program, &[arguments, &path].concat());
    }

    /// Sends packets from the peer.
    pub(crate) fn send(&self, tuples: &[Tuple]) {
        let link = self.network.link();
        let mut sender = Sender::open(&self.network.peer, &link.peer).unwrap();
        for tuple in tuples {
            let frame = link.to_host(tuple.packet().unwrap()).build();
            sender.send(&frame).unwrap();
        }
    }

    /// Waits until counters have the expected values.
    pub(crate) fn await_counters(&self, expected: &[u64], count: impl Fn(&Self) -> Vec<u64>) {
        let begin = Instant::now();
        loop {
            let found = count(self);
            if found == expected {
                return;
            }
            if begin.elapsed() > Duration::from_secs(5) {
                let both = found.iter().zip(expected).enumerate();
                let different: Vec<_> = both.filter(|(_, (a, b))| a != b).collect();
                panic!(
                    "{} counters, (index, (found, expected)): {different:?}",
                    found.len()
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
