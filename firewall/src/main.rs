//! The `firewall` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    firewall::main()
}
