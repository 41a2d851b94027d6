//! Tells the aya crates which machine the program will run on.

fn main() -> aya_build::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    aya_build::emit_bpf_target_arch_cfg()
}
