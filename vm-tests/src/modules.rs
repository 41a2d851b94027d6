//! Kernel modules, in an order in which they can be loaded.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

/// A kernel module.
#[derive(Debug)]
pub(crate) struct Module {
    /// Its name, with `_` for `-`.
    pub(crate) name: String,
    /// The ELF file, not compressed.
    pub(crate) image: Vec<u8>,
}

/// The modules with these names below `folder` and their dependencies, each after its own
/// dependencies. Modules built into the kernel are left out.
pub(crate) fn in_load_order(folder: &Path, names: &[&str]) -> Result<Vec<Module>> {
    let mut order = Order {
        files: BTreeMap::new(),
        built_in: String::new(),
        modules: Vec::new(),
    };
    order.find(folder)?;
    let built_in = folder.join("modules.builtin");
    order.built_in = fs::read_to_string(&built_in)
        .with_context(|| format!("cannot read `{}`", built_in.display()))?;
    for name in names {
        order.add(name)?;
    }
    Ok(order.modules)
}

struct Order {
    files: BTreeMap<String, PathBuf>,
    built_in: String,
    modules: Vec<Module>,
}

impl Order {
    fn find(&mut self, folder: &Path) -> Result<()> {
        let listing = folder
            .read_dir()
            .with_context(|| format!("cannot read `{}`", folder.display()))?;
        for entry in listing {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.find(&entry.path())?;
            } else if let Some(name) = module_name(&entry.file_name().to_string_lossy()) {
                self.files.insert(name, entry.path());
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str) -> Result<()> {
        if self.modules.iter().any(|module| module.name == name) || self.is_built_in(name) {
            return Ok(());
        }
        let path = self.files.get(name);
        let path = path.with_context(|| format!("the kernel has no module `{name}`"))?;
        let image = read(path)?;
        for other in depends(&image) {
            self.add(&other)?;
        }
        self.modules.push(Module {
            name: name.to_owned(),
            image,
        });
        Ok(())
    }

    fn is_built_in(&self, name: &str) -> bool {
        self.built_in
            .lines()
            .filter_map(|line| module_name(line.rsplit('/').next()?))
            .any(|built_in| built_in == name)
    }
}

/// The name of the module in a file such as `virtio-net.ko.xz`.
fn module_name(file: &str) -> Option<String> {
    let (name, rest) = file.split_once(".ko")?;
    ["", ".xz", ".zst", ".gz"]
        .contains(&rest)
        .then(|| name.replace('-', "_"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let program = match path.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => {
            return fs::read(path).with_context(|| format!("cannot read `{}`", path.display()));
        }
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => bail!("`{}` is compressed in an unknown way", path.display()),
    };
    let output = Command::new(program)
        .args(["--decompress", "--stdout"])
        .arg(path)
        .output()
        .with_context(|| format!("cannot start `{program}`"))?;
    ensure!(
        output.status.success(),
        "`{program}` cannot read `{}`: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(output.stdout)
}

/// The modules on which a module depends, listed, in the section `.modinfo`: a list of strings,
/// each preceded by a zero byte.
fn depends(image: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let found = image.windows(KEY.len()).position(|window| window == KEY);
    let list = found.and_then(|at| image.get(at + KEY.len()..));
    let list = list.and_then(|rest| rest.split(|&byte| byte == 0).next());
    let list = String::from_utf8_lossy(list.unwrap_or_default());
    list.split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_after_those_they_depend_on() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, depends: &str| {
            let image = format!("ELF\0license=GPL\0depends={depends}\0retpoline=Y\0");
            fs::write(folder.path().join(name), image).unwrap();
        };
        fs::create_dir(folder.path().join("net")).unwrap();
        write("net/virtio-net.ko", "net_failover,virtio_ring");
        write("net_failover.ko", "failover");
        write("failover.ko", "");
        fs::write(
            folder.path().join("modules.builtin"),
            "kernel/drivers/virtio/virtio_ring.ko\n",
        )
        .unwrap();
        let load = |name| in_load_order(folder.path(), &[name]);
        let names: Vec<String> = load("virtio_net")
            .unwrap()
            .into_iter()
            .map(|module| module.name)
            .collect();
        assert_eq!(names, ["failover", "net_failover", "virtio_net"]);
        assert!(load("virtio_ring").unwrap().is_empty());
        let error = load("veth").unwrap_err();
        assert_eq!(error.to_string(), "the kernel has no module `veth`");
    }
}
