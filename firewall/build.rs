//! Compiles the XDP program and leaves the object in `OUT_DIR`.

use std::{env, path::Path};

use ebpf_build::Program;

fn main() -> anyhow::Result<()> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("..");
    ebpf_build::build(
        &root,
        Program {
            package: "firewall-ebpf",
            binary: "firewall-xdp",
        },
    )
}
