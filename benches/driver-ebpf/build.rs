//! Passes the target architecture to the aya crates.

fn main() -> aya_build::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    aya_build::emit_bpf_target_arch_cfg()
}
