//! Compiles an eBPF program with its own target and flags, from the build script of the crate that
//! embeds the object.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

mod object;

/// 32-bit arithmetic and jumps, known to every kernel since 5.1.
const CPU: &str = "v3";

/// Keeps the end of each loop behind its head, where it jumps back. LLVM would also lay it before
/// the head and fall through, and kernels before 6.7 take only a jump for the back edge of a loop
/// (`check_cfg`, `kernel/bpf/verifier.c`; 10e14e9652bf in Linux 6.7).
const LAYOUT: &str = "-Clink-arg=--llvm-args=-disable-block-placement";

const TARGET: &str = "bpfel-unknown-none";

/// What is to be built.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The folder of the crate, from the top of the workspace. Its programs are built with the
    /// feature `program`.
    pub package: &'a str,
    /// The name of the program, under which the object is left in `OUT_DIR`.
    pub binary: &'a str,
}

/// Builds a program and leaves the object in `OUT_DIR`. To be called from a build script; `root`
/// is the top of the workspace.
///
/// # Errors
///
/// If the program does not compile, or a tool is missing.
pub fn build(root: &Path, program: Program<'_>) -> Result<()> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let package = root.join(program.package);
    for input in [
        package.join("src"),
        package.join("Cargo.toml"),
        root.join("Cargo.lock"),
        root.join("Cargo.toml"),
    ] {
        println!("cargo:rerun-if-changed={}", input.display());
    }
    println!("cargo:rerun-if-changed=build.rs");
    let tools = root.join(".tools");
    let rustc_marker = tools.join("ebpf-rustc");
    // What does not exist yet may appear in the folder; cargo takes a path that is not there as
    // changed each time.
    for path in [&tools, &rustc_marker] {
        if path.exists() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
    // A compiler that brings `core` for BPF with it, or else the one that runs this script.
    let marked = fs::read_to_string(&rustc_marker).ok();
    let compiler = match &marked {
        Some(path) => path.trim().into(),
        None => env::var_os("RUSTC").context("no RUSTC in the environment")?,
    };
    let flags = [
        format!(
            "--cfg=bpf_target_arch=\"{}\"",
            env::var("CARGO_CFG_TARGET_ARCH")?
        ),
        format!("-Ctarget-cpu={CPU}"),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        LAYOUT.to_owned(),
        format!("-Clinker={}", linker(&tools).display()),
    ];
    let target_dir = out.join("ebpf");
    let mut cargo = Command::new(env::var_os("CARGO").context("no CARGO in the environment")?);
    cargo
        .current_dir(&package)
        .args([
            "build",
            "--release",
            "--locked",
            "--bins",
            "--features",
            "program",
        ])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        // `-Z build-std` and inline assembly for BPF, on the pinned stable compiler.
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_TARGET_DIR");
    for (name, _) in env::vars_os() {
        // What cargo tells this script of the host must not reach the other target.
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_CFG_") || text.starts_with("CARGO_FEATURE_") {
            cargo.env_remove(&name);
        }
    }
    match marked {
        Some(_) => cargo.env("RUSTC", &compiler),
        None => cargo.args(["-Z", "build-std=core"]),
    };
    let status = cargo
        .status()
        .with_context(|| format!("could not start {cargo:?}"))?;
    if !status.success() {
        bail!(
            "the program `{}` was not built (see above); `make setup` installs the rust-src \
             component and bpf-linker that it needs",
            program.binary
        );
    }
    let built = target_dir.join(TARGET).join("release").join(program.binary);
    let bytes =
        fs::read(&built).with_context(|| format!("could not read `{}`", built.display()))?;
    let bytes = object::stripped(&bytes, &source_folders(root, &compiler)?)
        .with_context(|| format!("could not strip `{}`", built.display()))?;
    fs::write(out.join(program.binary), bytes)
        .with_context(|| format!("could not write `{}`", program.binary))?;
    Ok(())
}

/// The folders in which sources are, on this machine.
fn source_folders(root: &Path, compiler: &OsStr) -> Result<Vec<PathBuf>> {
    let home = match env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => {
            let home = env::var_os("HOME").context("no HOME in the environment")?;
            Path::new(&home).join(".cargo")
        }
    };
    let output = Command::new(compiler)
        .args(["--print", "sysroot"])
        .output()
        .with_context(|| format!("could not start `{}`", compiler.display()))?;
    let sysroot = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    let folders = [
        root.to_owned(),
        home.join("registry/src"),
        sysroot.join("lib/rustlib/src/rust"),
    ];
    // The compiler takes some paths as they are and some with links resolved.
    let resolved = folders
        .iter()
        .filter_map(|folder| folder.canonicalize().ok());
    Ok(resolved.chain(folders.clone()).collect())
}

/// The linker that `make setup` installs, or else the one on the path.
fn linker(tools: &Path) -> PathBuf {
    let ours = tools.join("bin/bpf-linker");
    if ours.exists() {
        ours
    } else {
        PathBuf::from("bpf-linker")
    }
}
