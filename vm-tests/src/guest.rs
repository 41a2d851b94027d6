//! The initial and only file system of a guest.

use anyhow::Result;

use crate::{cpio::Archive, modules, products::Products, store::Kernel};

/// The modules that a guest needs: virtual links, interfaces without Ethernet headers, and devices.
const MODULES: [&str; 7] = [
    "veth",
    "tun",
    "virtio_pci",
    "virtio_net",
    "virtio_console",
    "virtio_blk",
    "ext4",
];

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
    let mut order = String::new();
    for module in modules::in_load_order(&kernel.modules, &MODULES)? {
        archive.file(&format!("modules/{}", module.name), &module.image);
        order += &format!("{}\n", module.name);
    }
    archive.file("modules/order", order.as_bytes());
    Ok(archive.finish())
}
