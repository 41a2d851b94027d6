//! How much work the verifier has with the program.

use benches::features::Feature;

use crate::{machine::Machine, reload::drop_port};

/// The most instructions that the verifier of this kernel may go through. Each kernel gives up at
/// 1,000,000 (`BPF_COMPLEXITY_LIMIT_INSNS`, `include/linux/bpf.h`, since 5.2), and they do not go
/// through the same number for the same program: this leaves room for others than this one.
const MAX_VERIFIED: u64 = 400_000;

#[test]
#[ignore = "needs root"]
fn the_verifier_has_room_on_other_kernels() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
    let program = &machine.status()["program"];
    match program["verified_instructions"].as_u64() {
        Some(count) => {
            println!("{count} instructions were verified");
            assert!(count <= MAX_VERIFIED, "{count} instructions were verified");
        }
        None => {
            let lacking = Feature::VerifiedInstructions.lacking().unwrap();
            println!(
                "left out {}",
                lacking.unwrap_or_else(|| panic!("{program}"))
            );
        }
    }
}
