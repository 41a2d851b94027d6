//! The files of a guest: the `firewall` command as `make build` builds it, its tests, the guest's
//! process 1, the commands that are called, and the libraries of all of these.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// The object file of the XDP program, from which the tests make broken ones.
const OBJECT: &str = "firewall-xdp";

/// The commands that the scenarios call, and those that only tests call.
const COMMANDS: [&str; 3] = ["ip", "tc", "wg"];
const TEST_COMMANDS: [&str; 2] = ["bpftool", "setpriv"];

/// A file of a guest.
pub(crate) struct GuestFile {
    /// Its path in the guest.
    pub(crate) path: String,
    /// Its contents.
    pub(crate) bytes: Vec<u8>,
}

/// The files of a guest.
pub(crate) struct Products {
    /// The files, all of which are executable.
    pub(crate) files: Vec<GuestFile>,
    /// The path at which the tests look for the `firewall` command.
    pub(crate) firewall_path: PathBuf,
}

impl Products {
    /// Builds everything with a cargo profile; tests only if they will run.
    pub(crate) fn build(profile: &str, with_tests: bool) -> Result<Self> {
        eprintln!("building with the profile {profile}");
        let bins = ["-p", "firewall", "-p", "vm-tests", "--bins"];
        let built = cargo(&["build"], profile, &bins)?;
        let find = |name: &str| {
            let mut programs = built.programs.iter();
            let path = programs.find(|path| path.ends_with(name)).cloned();
            path.with_context(|| format!("cargo built no `{name}`"))
        };
        let firewall_path = find("firewall")?;
        let guest = find("vm-guest")?;
        let mut files = Payload::default();
        // Read before the tests are built, which may build the command again with other features.
        files.program("/bin/firewall", &firewall_path)?;
        files.program("/init", &guest)?;
        for command in COMMANDS {
            files.command(command)?;
        }
        if with_tests {
            tests(&firewall_path, profile, &mut files)?;
            for command in TEST_COMMANDS {
                files.command(command)?;
            }
        }
        let files = files.0.into_iter();
        Ok(Self {
            files: files
                .map(|(path, bytes)| GuestFile { path, bytes })
                .collect(),
            firewall_path,
        })
    }
}

/// Files by their paths in the guest.
#[derive(Default)]
struct Payload(BTreeMap<String, Vec<u8>>);

impl Payload {
    /// Adds a command of the host.
    fn command(&mut self, name: &str) -> Result<()> {
        self.program(&format!("/bin/{name}"), &find_command(name)?)
    }

    /// Adds a program of the host, stripped, and the libraries that it loads.
    fn program(&mut self, path: &str, program: &Path) -> Result<()> {
        self.0.insert(path.to_owned(), stripped(program)?);
        let output = Command::new("ldd")
            .arg(program)
            .output()
            .context("cannot start `ldd`")?;
        for library in libraries(&String::from_utf8_lossy(&output.stdout)) {
            if !self.0.contains_key(library) {
                self.0.insert(library.to_owned(), read(Path::new(library))?);
            }
        }
        Ok(())
    }
}

/// Adds the binaries of the tests, and the object files that they read.
fn tests(firewall_path: &Path, profile: &str, files: &mut Payload) -> Result<()> {
    let built = cargo(
        &["test", "--no-run"],
        profile,
        &["-p", "firewall", "--test", "in_kernel"],
    )?;
    for path in built.programs.iter().filter(|path| *path != firewall_path) {
        files.program("/tests/in_kernel", path)?;
    }
    let objects = built.folders.iter().map(|folder| folder.join(OBJECT));
    for path in objects.filter(|path| path.exists()) {
        let bytes = read(&path)?;
        files.0.insert(path.to_string_lossy().into_owned(), bytes);
    }
    Ok(())
}

/// The outputs of cargo.
#[derive(Default)]
struct Built {
    programs: Vec<PathBuf>,
    /// The output folders of build scripts.
    folders: Vec<PathBuf>,
}

/// Runs cargo.
fn cargo(command: &[&str], profile: &str, what: &[&str]) -> Result<Built> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
        out_dir: Option<PathBuf>,
    }

    let output = Command::new("scripts/cargo.sh")
        .args(command)
        .args(["--profile", profile, "--locked"])
        .args(["--message-format", "json-render-diagnostics"])
        .args(what)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    ensure!(output.status.success(), "cargo failed (see above)");
    let mut built = Built::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // Other kinds of messages have neither.
        let message: Message = serde_json::from_str(line).context("cargo wrote no JSON")?;
        built.programs.extend(message.executable);
        built.folders.extend(message.out_dir);
    }
    Ok(built)
}

/// A program without symbols and debug information, because a guest keeps all files in memory.
fn stripped(program: &Path) -> Result<Vec<u8>> {
    let stripped = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    let status = Command::new("strip")
        .arg("-o")
        .args([stripped.path(), program])
        .status()
        .context("cannot start `strip`")?;
    ensure!(
        status.success(),
        "`strip` cannot read `{}`",
        program.display()
    );
    read(stripped.path())
}

/// The path of a command of the host.
fn find_command(command: &str) -> Result<PathBuf> {
    let folders = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    folders
        .split(':')
        .map(|folder| Path::new(folder).join(command))
        .find(|path| path.exists())
        .with_context(|| format!("the command `{command}`, which guests call, is missing"))
}

/// The paths in the output of `ldd`: `name => path (address)`, or a path alone.
fn libraries(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().filter(|word| word.starts_with('/'))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_paths_that_ldd_names() {
        let text = "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x3)\n";
        let found: Vec<&str> = libraries(text).collect();
        assert_eq!(found, ["/lib/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
        assert_eq!(libraries("\tstatically linked\n").count(), 0);
    }
}
