//! `firewall check`, without root.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::machine::{BINARY, Said, said};

fn check(text: &str) -> Said {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.toml"), text).unwrap();
    fs::write(
        folder.path().join("list.txt"),
        "192.0.2.0/24\n2001:db8::/32\n",
    )
    .unwrap();
    let mut command = Command::new(BINARY);
    command
        .args(["check", "rules.toml"])
        .current_dir(folder.path())
        .stdin(Stdio::null());
    said(command.output().unwrap())
}

#[test]
fn a_good_file_is_silent_on_stdout() {
    let said = check(
        "[firewall]\ninterfaces = [\"none-such*\"]\n[sets]\nlist = { file = \"list.txt\" }\n\
         [[rule]]\nname = \"list\"\naction = \"drop\"\nsrc = \"@list\"\n",
    );
    assert!(said.status.success(), "{said:?}");
    assert_eq!(said.stdout, "");
    assert!(
        said.stderr
            .starts_with("`rules.toml`: no errors, 1 rule, image "),
        "{said:?}"
    );
}

#[test]
fn every_error_of_a_bad_file_is_on_stdout_with_its_place() {
    let said = check(
        "[firewall]\ninterfaces = [\"eth0\"]\npolcy = \"drop\"\n\
         [[rule]]\nname = \"a\"\naction = \"dorp\"\n",
    );
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    for place in ["--> rules.toml:3:1", "--> rules.toml:6:10"] {
        assert!(said.stdout.contains(place), "{said:?}");
    }
    assert_eq!(said.stderr, "error: `rules.toml` has 2 errors\n");
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let mut command = Command::new(BINARY);
    let said = said(command.args(["check", "/none/such.toml"]).output().unwrap());
    assert_eq!(said.status.code(), Some(1));
    assert_eq!(
        said.stderr,
        "error: cannot read `/none/such.toml`: No such file or directory (os error 2)\n"
    );
}
