//! The imports of a package: its files, and for each the names that it takes from others.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::Result;
use syn::{
    Attribute, ImplItem, Item, ItemEnum, ItemMod, ItemStruct, ItemTrait, ItemUse, LitStr, Macro,
    Meta, TraitItem, Visibility,
    visit::{self, Visit},
};

use crate::{
    package::Package,
    scope::{FileIndex, ModuleIndex, Scope, Target},
    syntax::{attributes, attributes_in_impl, attributes_in_trait, is_test, leaves, paths_in},
};

/// The imports of one package.
#[derive(Debug)]
pub struct Imports {
    /// The package's name.
    pub package: String,
    /// Its files.
    pub files: Vec<File>,
}

/// A file, and the names that it takes from others.
#[derive(Debug)]
pub struct File {
    /// Its path, relative to the root of the workspace.
    pub path: PathBuf,
    /// The root file of the target that it belongs to.
    pub root: PathBuf,
    /// The topmost folder or file of its target that it belongs to.
    pub room: String,
    /// The files of the same package that it imports from, by their index, with the names that it
    /// takes and the line of the first use of each.
    pub imports: BTreeMap<usize, BTreeMap<String, usize>>,
    /// The paths outside the package that it names, in full, with the line of the first use of
    /// each; a macro's ends in `!`.
    pub outside: BTreeMap<String, usize>,
    /// The structs, enums and traits that it defines, with their lines.
    pub types: Vec<(String, usize)>,
}

impl Imports {
    /// Reads the files of a package of the workspace in the folder `root`.
    ///
    /// # Errors
    /// Fails when a file cannot be read or parsed.
    pub fn read(root: &Path, package: &Package) -> Result<Self> {
        let scope = Scope::read(root, package)?;
        let files = scope
            .files
            .iter()
            .enumerate()
            .map(|(index, file)| {
                let mut reader = FileReader {
                    scope: &scope,
                    file: index,
                    module: file.module,
                    imports: BTreeMap::new(),
                    outside: BTreeMap::new(),
                    types: Vec::new(),
                };
                reader.visit_file(&file.syntax);
                File {
                    room: room(&package.folder, &file.path),
                    path: file.path.clone(),
                    root: scope.root_of(index).to_owned(),
                    imports: reader.imports,
                    outside: reader.outside,
                    types: reader.types,
                }
            })
            .collect();
        Ok(Self {
            package: package.name.clone(),
            files,
        })
    }

    /// Returns the names of types that are defined several times in one target, each with its
    /// places.
    pub fn ambiguous_types(&self) -> BTreeMap<&str, Vec<String>> {
        let mut found: BTreeMap<(&Path, &str), Vec<String>> = BTreeMap::new();
        for file in &self.files {
            for (name, line) in &file.types {
                let place = format!("{}:{line}", file.path.display());
                found.entry((&file.root, name)).or_default().push(place);
            }
        }
        let mut ambiguous: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for ((_, name), places) in found {
            if places.len() > 1 {
                ambiguous.entry(name).or_default().extend(places);
            }
        }
        ambiguous
    }

    /// Returns the rooms.
    pub fn rooms(&self) -> BTreeSet<&str> {
        self.files.iter().map(|file| file.room.as_str()).collect()
    }
}

/// Returns the room of a file: `src/a/b.rs` and `src/a.rs` are in `a`, and `src/bin/x/a/b.rs` in
/// `bin/x/a`.
fn room(package: &Path, file: &Path) -> String {
    let inside = file
        .strip_prefix(package)
        .unwrap_or(file)
        .with_extension("");
    let parts: Vec<String> = inside
        .iter()
        .skip(1)
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    let depth = if parts.first().is_some_and(|part| part == "bin") {
        3
    } else {
        1
    };
    parts.into_iter().take(depth).collect::<Vec<_>>().join("/")
}

/// Whether a file is in a part: a folder together with the file of the same name.
pub(crate) fn is_in(file: &Path, part: &str) -> bool {
    file.with_extension("") == Path::new(part) || file.starts_with(part)
}

struct FileReader<'a> {
    scope: &'a Scope,
    file: FileIndex,
    /// The module of what is being visited.
    module: ModuleIndex,
    imports: BTreeMap<usize, BTreeMap<String, usize>>,
    outside: BTreeMap<String, usize>,
    types: Vec<(String, usize)>,
}

impl FileReader<'_> {
    fn add(&mut self, path: &[String], line: usize, suffix: &str) {
        self.add_targets(self.scope.resolve(self.module, path), line, suffix);
    }

    fn add_targets(&mut self, targets: Vec<Target>, line: usize, suffix: &str) {
        for target in targets {
            match target {
                Target::File(file, name) if file != self.file => {
                    self.imports
                        .entry(file)
                        .or_default()
                        .entry(name)
                        .or_insert(line);
                }
                // What is taken from a module is named where it is used.
                Target::File(..) | Target::Module(_) => {}
                Target::Outside(path) => {
                    self.outside
                        .entry(format!("{}{suffix}", path.join("::")))
                        .or_insert(line);
                }
            }
        }
    }

    /// Adds a path that is not the operand of a `use`.
    fn mention(&mut self, path: &[String], line: usize, is_macro: bool) {
        match path {
            [name] => {
                if is_macro {
                    self.add(path, line, "!");
                } else if self.scope.may_be_glob(self.module, name) {
                    for target in self.scope.resolve(self.module, path) {
                        if let Target::File(..) = target {
                            self.add(path, line, "");
                        }
                    }
                }
            }
            _ => self.add(path, line, if is_macro { "!" } else { "" }),
        }
    }

    fn add_type(&mut self, name: &syn::Ident) {
        self.types
            .push((name.to_string(), name.span().start().line));
    }
}

impl<'ast> Visit<'ast> for FileReader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !is_test(attributes_in_impl(item)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        if !is_test(attributes_in_trait(item)) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.content.is_none() {
            return;
        }
        let outer = self.module;
        if let Some(inner) = self.scope.inline(outer, &item.ident.to_string()) {
            self.module = inner;
            visit::visit_item_mod(self, item);
            self.module = outer;
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if self.scope.files[self.file].is_face {
            return;
        }
        for leaf in leaves(item) {
            let targets = self.scope.resolve_import(self.module, &leaf.path);
            self.add_targets(targets, leaf.line, "");
        }
    }

    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        self.add_type(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast ItemEnum) {
        self.add_type(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.add_type(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("doc") {
            return;
        }
        match &attribute.meta {
            Meta::Path(_) => {}
            Meta::List(list) => {
                for path in paths_in(list.tokens.clone()) {
                    self.mention(&path.segments, path.line, path.is_macro);
                }
                // serde takes paths as text.
                let mut texts = Vec::new();
                texts_in(list.tokens.clone(), &mut texts);
                for text in texts {
                    let line = text.span().start().line;
                    if let Ok(path) = text.parse::<syn::Path>() {
                        self.mention(&segments(&path), line, false);
                    }
                }
            }
            Meta::NameValue(_) => {}
        }
        visit::visit_attribute(self, attribute);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let line = path
            .segments
            .first()
            .map_or(0, |segment| segment.ident.span().start().line);
        self.mention(&segments(path), line, false);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        let line = item
            .path
            .segments
            .first()
            .map_or(0, |segment| segment.ident.span().start().line);
        self.mention(&segments(&item.path), line, true);
        for path in paths_in(item.tokens.clone()) {
            self.mention(&path.segments, path.line, path.is_macro);
        }
    }
}

fn segments(path: &syn::Path) -> Vec<String> {
    path.segments
        .iter()
        .map(|segment| segment.ident.to_string())
        .collect()
}

fn texts_in(tokens: proc_macro2::TokenStream, texts: &mut Vec<LitStr>) {
    for token in tokens {
        match token {
            proc_macro2::TokenTree::Group(group) => texts_in(group.stream(), texts),
            proc_macro2::TokenTree::Literal(literal) => {
                if let syn::Lit::Str(text) = syn::Lit::new(literal) {
                    texts.push(text);
                }
            }
            proc_macro2::TokenTree::Ident(_) | proc_macro2::TokenTree::Punct(_) => {}
        }
    }
}
