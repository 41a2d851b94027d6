//! Runs the firewall on several kernels: fetches them, packs a guest, boots each, prints a table.

mod accelerator;
mod apt;
mod cli;
mod cpio;
mod guest;
mod hardware;
mod kernels;
mod ledger;
mod machine;
mod modules;
mod namespace;
mod products;
mod run;
mod store;
mod table;
mod watch;
mod wires;

use std::process::ExitCode;

fn main() -> ExitCode {
    match run::run(&cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
