//! What goes into a guest: the `firewall` command as it is shipped, linked statically; its tests;
//! the guest's process 1; and the commands that the tests call, with their libraries.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// Programs of this target need no libraries.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// The object file of the XDP program, of which the tests make broken ones.
const OBJECT: &str = "firewall-xdp";

/// The commands that the tests call.
const COMMANDS: [&str; 2] = ["ip", "setpriv"];

/// A file of the host that a guest gets too.
pub(crate) struct File {
    /// Where it is in the guest.
    pub(crate) path: String,
    /// What it holds.
    pub(crate) bytes: Vec<u8>,
}

/// What goes into a guest.
pub(crate) struct Products {
    /// The `firewall` command.
    pub(crate) firewall: Vec<u8>,
    /// Where the tests look for the command.
    pub(crate) firewall_path: PathBuf,
    /// Process 1.
    pub(crate) guest: Vec<u8>,
    /// The binaries of the tests and the object files that they read.
    pub(crate) tests: Vec<File>,
    /// The commands that the tests call, and libraries.
    pub(crate) commands: Vec<File>,
}

impl Products {
    /// Builds everything, the tests only if they are to run.
    pub(crate) fn build(with_tests: bool) -> Result<Self> {
        eprintln!("building for {TARGET}");
        let bins = [
            "-p", "firewall", "-p", "vm-tests", "--bin", "firewall", "--bin", "vm-guest",
        ];
        let built = cargo(&["build"], &bins)?;
        let find = |name: &str| {
            let mut programs = built.programs.iter();
            let path = programs.find(|path| path.ends_with(name)).cloned();
            path.with_context(|| format!("cargo built no `{name}`"))
        };
        let firewall_path = find("firewall")?;
        // Read before the tests are built, which may build the command once more, with what
        // features they need.
        let firewall = stripped(&firewall_path)?;
        let guest = stripped(&find("vm-guest")?)?;
        let (tests, commands) = if with_tests {
            (tests(&firewall_path)?, commands()?)
        } else {
            (Vec::new(), Vec::new())
        };
        Ok(Self {
            firewall,
            firewall_path,
            guest,
            tests,
            commands,
        })
    }
}

/// The binaries of the tests, and the object files that they read.
fn tests(firewall_path: &Path) -> Result<Vec<File>> {
    let built = cargo(
        &["test", "--no-run"],
        &["-p", "firewall", "--test", "in_kernel"],
    )?;
    let mut tests = Vec::new();
    for path in built.programs.iter().filter(|path| *path != firewall_path) {
        tests.push(File {
            path: "/tests/in_kernel".into(),
            bytes: stripped(path)?,
        });
    }
    let objects = built.folders.iter().map(|folder| folder.join(OBJECT));
    for path in objects.filter(|path| path.exists()) {
        tests.push(File {
            bytes: read(&path)?,
            path: path.to_string_lossy().into_owned(),
        });
    }
    Ok(tests)
}

fn commands() -> Result<Vec<File>> {
    let mut files = Vec::new();
    for command in COMMANDS {
        files.extend(with_libraries(command)?);
    }
    Ok(files)
}

/// What cargo built.
#[derive(Default)]
struct Built {
    programs: Vec<PathBuf>,
    /// The folders that build scripts wrote to.
    folders: Vec<PathBuf>,
}

/// Runs cargo.
fn cargo(command: &[&str], what: &[&str]) -> Result<Built> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
        out_dir: Option<PathBuf>,
    }

    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(command)
        .args(["--release", "--locked", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"])
        .args(what)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    ensure!(
        output.status.success(),
        "cargo failed (see above); `rustup target add {TARGET}` installs the target's library"
    );
    let mut built = Built::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // Messages of other kinds have neither.
        let message: Message = serde_json::from_str(line).context("cargo wrote no JSON")?;
        built.programs.extend(message.executable);
        built.folders.extend(message.out_dir);
    }
    Ok(built)
}

/// A program without its symbols and debug information, which a guest would hold in memory.
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

/// A command of the host and the libraries that it loads.
fn with_libraries(command: &str) -> Result<Vec<File>> {
    let folders = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let program = folders
        .split(':')
        .map(|folder| Path::new(folder).join(command))
        .find(|path| path.exists())
        .with_context(|| format!("the command `{command}`, which the tests call, is missing"))?;
    let output = Command::new("ldd")
        .arg(&program)
        .output()
        .context("cannot start `ldd`")?;
    let mut files = vec![File {
        path: format!("/bin/{command}"),
        bytes: read(&program)?,
    }];
    for library in libraries(&String::from_utf8_lossy(&output.stdout)) {
        files.push(File {
            bytes: read(Path::new(library))?,
            path: library.to_owned(),
        });
    }
    Ok(files)
}

/// The paths in what `ldd` says: `name => path (address)`, or a path alone.
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
