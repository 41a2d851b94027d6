//! The initial and only file system of a guest.

use anyhow::Result;

use crate::{
    cpio::Archive,
    modules::{self, Module},
    products::Products,
    store::Kernel,
};
use vm_tests::{MODULES, TUNNEL_MODULES};

/// The modules that a guest loads when it starts: virtual links, an interface without Ethernet header,
/// filters of traffic control, and devices.
const AT_START: [&str; 9] = [
    "veth",
    "tun",
    "sch_ingress",
    "cls_bpf",
    "virtio_pci",
    "virtio_net",
    "virtio_console",
    "virtio_blk",
    "ext4",
];

/// Those that a scenario loads, since some add interfaces to every network namespace.
const TUNNELS: [&str; 5] = ["8021q", "bonding", "ip_gre", "ipip", "wireguard"];

/// Folders that are empty at first.
const FOLDERS: [&str; 5] = ["dev", "proc", "sys", "run", "tmp"];

/// Packs the file system for a kernel.
pub(crate) fn pack(products: &Products, kernel: &Kernel) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in FOLDERS {
        archive.folder(folder);
    }
    // The kernel opens it for process 1, before anything is mounted.
    archive.device("dev/console", (5, 1));
    for file in &products.files {
        archive.program(&file.path, &file.bytes);
    }
    archive.link(&products.firewall_path.to_string_lossy(), "/bin/firewall");
    let all = [&AT_START[..], &TUNNELS].concat();
    let at_start = modules::in_load_order(&kernel.modules, &AT_START)?;
    let mut later = modules::in_load_order(&kernel.modules, &all)?;
    let is_loaded = |module: &Module| at_start.iter().any(|loaded| loaded.name == module.name);
    later.retain(|module| !is_loaded(module));
    for (list, modules) in [(MODULES, &at_start), (TUNNEL_MODULES, &later)] {
        let mut order = String::new();
        for module in modules {
            archive.file(&format!("modules/{}", module.name), &module.image);
            order += &format!("{}\n", module.name);
        }
        archive.file(list.trim_start_matches('/'), order.as_bytes());
    }
    Ok(archive.finish())
}
