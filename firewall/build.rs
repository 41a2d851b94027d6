//! Compiles the XDP program and leaves the object in `OUT_DIR`.

use std::{env, fs, path::Path};

use ebpf_build::Program;

fn main() -> anyhow::Result<()> {
    if env::var_os("CARGO_CFG_FUZZING").is_some() {
        // Fuzz targets load no program, and their compiler may have no library for it.
        let object = Path::new(&env::var("OUT_DIR")?).join("firewall-xdp");
        return Ok(fs::write(object, [])?);
    }
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("..");
    ebpf_build::build(
        &root,
        Program {
            package: "firewall-ebpf",
            binary: "firewall-xdp",
        },
    )
}
