//! `make install`, into a folder.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use benches::tools;

use crate::machine::{BINARY, said};

/// The folder of the source.
pub(crate) fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs `make` for a goal, with the binary under test.
pub(crate) fn make(goal: &str, root: &Path, more: &[&str]) {
    let mut command = tools::command("make");
    command
        .arg("-C")
        .arg(source())
        .args(["--no-print-directory", goal])
        .arg(format!("DESTDIR={}", root.display()))
        .arg(format!("BINARY={BINARY}"))
        .args(more);
    let said = said(command.output().unwrap());
    assert!(said.status.success(), "{said:?}");
    assert_eq!(said.stderr, "");
}

/// The files below a folder with their modes.
fn files(root: &Path) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                found.insert(name.to_owned(), metadata.permissions().mode() & 0o7777);
            }
        }
    }
    found
}

#[test]
fn everything_is_installed_where_it_is_told_and_removed_again() {
    for (prefix, more) in [("usr/local", &[] as &[&str]), ("usr", &["PREFIX=/usr"])] {
        let root = tempfile::tempdir().unwrap();
        make("install", root.path(), more);
        let mut found = files(root.path());
        let doc = format!("{prefix}/share/doc/firewall/");
        for (file, mode) in [
            (format!("{prefix}/sbin/firewall"), 0o755),
            (
                format!("{prefix}/lib/systemd/system/firewall.service"),
                0o644,
            ),
            ("etc/fail2ban/action.d/firewall.conf".into(), 0o644),
            (format!("{doc}docs/rules.md"), 0o644),
            (format!("{doc}notify-reload.conf"), 0o644),
            (format!("{doc}examples/home.toml"), 0o644),
            (format!("{doc}examples/lists/demo-blocklist.txt"), 0o644),
        ] {
            assert_eq!(found.remove(&file), Some(mode), "{file}");
        }
        found.retain(|file, mode| !file.starts_with(&doc) || *mode != 0o644);
        assert_eq!(found, BTreeMap::new());
        let command = root.path().join(prefix).join("sbin/firewall");
        assert_eq!(fs::read(&command).unwrap(), fs::read(BINARY).unwrap());
        // Every example can be used where it lies.
        for example in fs::read_dir(root.path().join(&doc).join("examples")).unwrap() {
            let path = example.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                let checked = Command::new(&command).arg("check").arg(&path).output();
                let said = said(checked.unwrap());
                assert!(said.status.success(), "{said:?}");
            }
        }
        let unit = root
            .path()
            .join(prefix)
            .join("lib/systemd/system/firewall.service");
        let unit = fs::read_to_string(unit).unwrap();
        let start = format!(
            "ExecStart=/{prefix}/sbin/firewall apply --wait --boot /etc/firewall/rules.toml"
        );
        assert!(unit.lines().any(|line| line == start), "{unit}");

        fs::write(root.path().join("etc/firewall/rules.toml"), "mine").unwrap();
        make("uninstall", root.path(), more);
        let left = files(root.path());
        assert_eq!(left.keys().collect::<Vec<_>>(), ["etc/firewall/rules.toml"]);
    }
}

#[test]
fn a_prefix_with_spaces_is_quoted_in_the_unit_and_one_that_fits_no_unit_is_refused() {
    let root = tempfile::tempdir().unwrap();
    make("install", root.path(), &["PREFIX=/opt/my firewall"]);
    let units = root.path().join("opt/my firewall/lib/systemd/system");
    let unit = fs::read_to_string(units.join("firewall.service")).unwrap();
    for line in [
        "ExecStart=\"/opt/my firewall/sbin/firewall\" apply --wait --boot /etc/firewall/rules.toml",
        "ExecReload=\"/opt/my firewall/sbin/firewall\" reload",
    ] {
        assert!(unit.lines().any(|found| found == line), "{unit}");
    }
    // systemd reads the name as one word, and misses the file, which is below another root.
    let mut verify = tools::command("systemd-analyze");
    verify.arg("verify").arg(units.join("firewall.service"));
    let verified = said(verify.output().unwrap());
    assert!(
        verified
            .stderr
            .contains("Command /opt/my firewall/sbin/firewall is not executable"),
        "{verified:?}"
    );
    make("uninstall", root.path(), &["PREFIX=/opt/my firewall"]);
    assert_eq!(files(root.path()), BTreeMap::new());

    for prefix in [
        "/opt/%h",
        "/opt/a\"b",
        "/opt/$HOME",
        "/opt/a|b",
        "/opt/\\",
        "opt",
    ] {
        let mut install = tools::command("sh");
        install.arg(source().join("scripts/install.sh")).args([
            prefix,
            &root.path().display().to_string(),
            BINARY,
        ]);
        let refused = said(install.output().unwrap());
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(refused.stderr.contains("PREFIX"), "{refused:?}");
        assert_eq!(files(root.path()), BTreeMap::new());
    }
}
