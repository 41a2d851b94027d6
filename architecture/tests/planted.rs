//! Violations planted in small workspaces are found, and nothing else is reported.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{collections::BTreeSet, fs, path::Path};

use architecture::{
    imports::Imports,
    package::Package,
    report::Graphs,
    rule::{Rule, upward_dependencies},
};
use tempfile::TempDir;

#[test]
fn files_that_import_each_other_are_a_cycle() {
    let tree = Tree::new(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::{B, other}; pub struct A;"),
        (
            "b.rs",
            "use super::a::A as Renamed; pub struct B; pub fn other() {}",
        ),
        ("c.rs", "use crate::a::A;"),
    ]);
    assert_eq!(tree.cycles(), [["a.rs", "b.rs"]]);
    let [cycle] = &tree.graphs(|graphs| graphs.cycles())[..] else {
        panic!("one cycle");
    };
    // Either of the two imports closes it.
    assert!(
        cycle.contains("p/src/a.rs:1 -> p/src/b.rs: B, other")
            || cycle.contains("p/src/b.rs:1 -> p/src/a.rs: A"),
        "{cycle}"
    );
}

#[test]
fn a_path_in_code_is_an_import() {
    for code in [
        "fn f() { crate::b::g(); }",
        "fn f() -> super::b::B { todo!() }",
        "fn f() { use crate::b; b::g(); }",
        "use crate::b as other; type T = Vec<other::B>;",
        r#"fn f() { println!("{}", crate::b::g()); }"#,
        "fn f() { vec![Some(1).map(crate::b::g)]; }",
        "#[derive(Serialize)] struct S { #[serde(with = \"crate::b::text\")] t: u8 }",
        "impl crate::b::T for u8 {}",
        "use crate::b::*; fn f() -> B { todo!() }",
        "mod inner { fn f() { super::super::b::g(); } }",
        "mod inner { use crate::b as other; fn f() { other::g(); } }",
        "use crate::b::Kind::*;",
        "use p::b::B;",
    ] {
        let tree = Tree::new(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", code),
            (
                "b.rs",
                "use crate::a; fn f() { a::f() } pub struct B; pub enum Kind {} pub fn g() {}",
            ),
        ]);
        assert_eq!(tree.cycles(), [["a.rs", "b.rs"]], "{code}");
    }
}

#[test]
fn what_a_face_exports_is_imported_from_where_it_is_defined() {
    let tree = Tree::new(&[
        ("lib.rs", "mod a; mod room; pub use room::B;"),
        ("a.rs", "use crate::room::B; pub struct A;"),
        (
            "room/mod.rs",
            "mod b; mod c; pub use self::b::B; pub(crate) use c::*;",
        ),
        ("room/b.rs", "use super::C; pub struct B;"),
        ("room/c.rs", "pub struct C;"),
    ]);
    assert!(tree.cycles().is_empty());
    assert_eq!(
        tree.imports(),
        [("a.rs", "room/b.rs"), ("room/b.rs", "room/c.rs")]
            .map(|(from, to)| (from.to_owned(), to.to_owned()))
            .into()
    );
    let tree = Tree::new(&[
        ("lib.rs", "mod a; mod room; pub use room::B;"),
        ("a.rs", "use crate::B; pub struct A;"),
        ("room.rs", "mod b; pub use b::B;"),
        ("room/b.rs", "use crate::a::A; pub struct B;"),
    ]);
    assert_eq!(tree.cycles(), [["a.rs", "room/b.rs"]]);
}

#[test]
fn a_name_for_a_module_and_a_function_is_both() {
    let tree = Tree::new(&[
        ("lib.rs", "mod room; mod out;"),
        (
            "room.rs",
            "mod plan; mod user; pub(crate) use plan::{Plan, plan}; pub(crate) use crate::out::Out;",
        ),
        ("room/plan.rs", "pub struct Plan; pub fn plan() {}"),
        // A path may lead through the same name twice, and an import begins with a crate of its name.
        (
            "room/user.rs",
            "use super::plan::Plan; use crate::room::Out; use tokio::tokio;
            fn f() { super::plan(); tokio::spawn(); }",
        ),
        (
            "out.rs",
            "pub use crate::room::plan::Plan; pub struct Out; pub use self::deep::*; mod deep { pub use super::*; }",
        ),
    ]);
    assert_eq!(
        tree.imports(),
        [
            ("out.rs", "room/plan.rs"),
            ("room/user.rs", "out.rs"),
            ("room/user.rs", "room/plan.rs"),
        ]
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .into()
    );
    let outside: Vec<String> = tree
        .read()
        .files
        .into_iter()
        .flat_map(|file| file.outside.into_keys())
        .collect();
    assert_eq!(outside, ["tokio::tokio", "tokio::tokio::spawn"]);
}

#[test]
fn a_module_with_code_is_no_face() {
    let tree = Tree::new(&[
        ("lib.rs", "mod room;"),
        ("room.rs", "mod b; pub use b::B; pub const LIMIT: u8 = 1;"),
        ("room/b.rs", "use super::LIMIT; pub struct B;"),
    ]);
    assert_eq!(tree.cycles(), [["room.rs", "room/b.rs"]]);
}

#[test]
fn tests_import_what_they_like() {
    let tree = Tree::new(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        (
            "b.rs",
            "pub struct B;
            #[cfg(test)] use crate::a::A;
            #[cfg(all(test, unix))] mod tests { use crate::a::A; struct B; fn f() { crate::a::A; } }
            impl B { #[cfg(test)] fn f() { crate::a::A; } }
            #[test] fn t() { crate::a::A; }",
        ),
    ]);
    assert!(tree.cycles().is_empty());
    assert!(tree.types().is_empty());
}

#[test]
fn what_tests_share_with_others_is_not_left_out() {
    let tree = Tree::new(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        (
            "b.rs",
            r#"pub struct B; #[cfg(any(test, feature = "x"))] use crate::a::A;"#,
        ),
    ]);
    assert_eq!(tree.cycles(), [["a.rs", "b.rs"]]);
}

#[test]
fn rooms_that_import_from_each_other_are_found_where_no_files_do() {
    let tree = Tree::new(&[
        ("lib.rs", "mod room; mod hall;"),
        ("room.rs", "mod a; mod b;"),
        ("room/a.rs", "use crate::hall::Hall;"),
        ("room/b.rs", "pub struct B;"),
        ("hall.rs", "use crate::room::b::B; pub struct Hall;"),
    ]);
    assert!(tree.cycles().is_empty());
    assert_eq!(tree.graphs(|graphs| graphs.upward()).len(), 1);
}

#[test]
fn a_forbidden_arrow_is_found() {
    let rule = Rule {
        part: "p/src/pure",
        but: &["p/src/pure/but"],
        never: &[
            "std::fs",
            "std::net",
            "println!",
            "p/src/dirty",
            "p/src/other",
        ],
        except: &["std::net::IpAddr", "p/src/other/fine"],
        why: "it is pure",
    };
    let tree = |code| {
        Tree::new(&[
            ("lib.rs", "mod dirty; mod other; mod pure;"),
            ("dirty.rs", "pub mod deep; pub use std::fs;"),
            ("dirty/deep.rs", "pub struct Deep;"),
            ("other.rs", "pub mod fine; pub struct Other;"),
            ("other/fine.rs", "pub struct Fine;"),
            ("pure.rs", "mod but; mod inner;"),
            ("pure/but.rs", "fn f() { std::fs::read(); }"),
            ("pure/inner.rs", code),
        ])
    };
    for code in [
        "use std::fs;",
        "use std::{fs::{File as F}, net::IpAddr};",
        "use std as s; fn f() { s::fs::read(); }",
        "fn f() { std::net::TcpStream::connect(); }",
        "fn f() { println!(); }",
        "fn f() { if true { Some({ std::println!() }); println!() } }",
        "fn f() { assert!(matches!(1, _ if { println!(); true })); }",
        "use crate::dirty::deep::Deep;",
        "use super::super::dirty::deep;  fn f(_: deep::Deep) {}",
        "fn f() { crate::dirty::fs::read(); }",
        "use crate::other::Other;",
    ] {
        let broken = tree(code).broken(&rule);
        assert!(
            broken
                .iter()
                .all(|line| line.starts_with("p/src/pure/inner.rs:1 ")),
            "{broken:?}"
        );
        assert!(!broken.is_empty(), "{code}");
    }
    for code in [
        "use std::{fmt, net::IpAddr}; fn f() { std::net::IpAddr::V4; }",
        "use crate::other::fine::Fine;",
        "mod std { pub mod fs { pub fn read() {} } } fn f() { self::std::fs::read(); }",
        "struct Fs; mod filesystem {} fn f(std: Std) { std.fs; std_fs::f(); printline!(); }",
        "/// `std::fs`, see [`std::fs::read`].\nfn f() { \"std::fs::read\"; }",
        "#[cfg(test)] use std::fs;",
    ] {
        assert_eq!(tree(code).broken(&rule), [""; 0], "{code}");
    }
}

#[test]
fn a_rule_for_what_is_not_there_is_broken() {
    let tree = Tree::new(&[("lib.rs", "mod a;"), ("a.rs", "")]);
    let rule = Rule {
        part: "p/src/a",
        but: &["p/src/a/gone"],
        never: &["std::fs", "p/src/never"],
        except: &["p/src/lib"],
        why: "",
    };
    assert_eq!(
        tree.broken(&rule),
        [
            "a rule names `p/src/a/gone`, which does not exist",
            "a rule names `p/src/never`, which does not exist",
        ]
    );
}

#[test]
fn a_type_name_that_means_two_things_is_found() {
    let tree = Tree::new(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "struct Same; struct A;"),
        ("b.rs", "enum B {} fn f() { trait Same {} }"),
        ("main.rs", "struct B;"),
        (
            "bin/tool/main.rs",
            "mod a; struct Inside; mod inner { struct Inside; }",
        ),
        ("bin/tool/a.rs", "struct A;"),
    ]);
    assert_eq!(tree.types(), ["Inside", "Same"]);
}

#[test]
fn a_package_that_depends_upward_is_found() {
    let tree = Tree::new(&[("lib.rs", "")]);
    fs::create_dir_all(tree.0.path().join("q/src")).unwrap();
    fs::write(tree.0.path().join("q/src/lib.rs"), "").unwrap();
    fs::write(
        tree.0.path().join("q/Cargo.toml"),
        "[package]\nname = \"q\"\n[dependencies]\np = {}\n[dev-dependencies]\nr = {}",
    )
    .unwrap();
    fs::write(
        tree.0.path().join("Cargo.toml"),
        "[workspace]\nmembers = [\"p\", \"q\"]",
    )
    .unwrap();
    let packages = Package::all(tree.0.path()).unwrap();
    assert!(upward_dependencies(&packages, &[&["p"], &["q"], &["r"]]).is_empty());
    for floors in [&[&["q"][..], &["p"]][..], &[&["p", "q"]]] {
        assert_eq!(
            upward_dependencies(&packages, floors),
            ["`q` depends on `p`, which is not below it"]
        );
    }
    assert_eq!(
        upward_dependencies(&packages, &[&["p"]]),
        ["the package `q` has no floor"]
    );
}

/// A workspace of one package, `p`.
struct Tree(TempDir);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let manifest = "[workspace]\nmembers = [\"p\"]\n";
        fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
        for (path, text) in files {
            let path = folder.path().join("p/src").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::write(
            folder.path().join("p/Cargo.toml"),
            "[package]\nname = \"p\"\n",
        )
        .unwrap();
        Self(folder)
    }

    fn read(&self) -> Imports {
        let packages = Package::all(self.0.path()).unwrap();
        Imports::read(self.0.path(), &packages[0]).unwrap()
    }

    fn graphs<T>(&self, ask: impl FnOnce(&Graphs<'_>) -> T) -> T {
        ask(&Graphs::new(&self.read()))
    }

    /// The files of each cycle.
    fn cycles(&self) -> Vec<Vec<String>> {
        self.graphs(|graphs| graphs.cycles())
            .iter()
            .map(|text| {
                let (_, files) = text.lines().next().unwrap().split_once(": ").unwrap();
                files
                    .split(' ')
                    .map(|file| file.strip_prefix("p/src/").unwrap().to_owned())
                    .collect()
            })
            .collect()
    }

    fn imports(&self) -> BTreeSet<(String, String)> {
        let imports = self.read();
        let name = |path: &Path| path.strip_prefix("p/src").unwrap().display().to_string();
        imports
            .files
            .iter()
            .flat_map(|file| {
                file.imports
                    .keys()
                    .map(|to| (name(&file.path), name(&imports.files[*to].path)))
            })
            .collect()
    }

    fn broken(&self, rule: &Rule) -> Vec<String> {
        rule.broken(&[self.read()])
    }

    fn types(&self) -> Vec<String> {
        self.read()
            .ambiguous_types()
            .into_keys()
            .map(str::to_owned)
            .collect()
    }
}
