//! The modules of a package, the names in each, and what a path means in it.

use std::{
    collections::BTreeMap,
    fs, mem,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use syn::{Item, ItemMod, ItemUse, visit::Visit};

use crate::{
    package::Package,
    syntax::{attributes, is_face, is_test, leaves},
};

/// The index of a file in [`Scope::files`].
pub(crate) type FileIndex = usize;
/// The index of a module in [`Scope::modules`].
pub(crate) type ModuleIndex = usize;

/// A file of a package.
pub(crate) struct SourceFile {
    /// Its path, relative to the root of the workspace.
    pub(crate) path: PathBuf,
    /// Its syntax.
    pub(crate) syntax: syn::File,
    /// The module that it is.
    pub(crate) module: ModuleIndex,
    /// Whether it holds nothing but declarations of modules and re-exports.
    pub(crate) is_face: bool,
}

/// A module, in a file of its own or inside one.
pub(crate) struct Module {
    pub(crate) file: FileIndex,
    parent: Option<ModuleIndex>,
    root: ModuleIndex,
    names: BTreeMap<String, Vec<Meaning>>,
    globs: Vec<Vec<String>>,
}

/// What a name means in a module.
#[derive(Clone)]
enum Meaning {
    /// An item of the module itself.
    Item,
    Module(ModuleIndex),
    /// What an import says.
    Import(Vec<String>),
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// An item that this file defines, with its name.
    File(FileIndex, String),
    Module(ModuleIndex),
    /// Something outside the package, by its full path; also what is no path to an item at all,
    /// as `Self::new`.
    Outside(Vec<String>),
}

/// All modules of a package.
pub(crate) struct Scope {
    pub(crate) files: Vec<SourceFile>,
    pub(crate) modules: Vec<Module>,
    /// The name and the root module of the package's library.
    library: Option<(String, ModuleIndex)>,
}

impl Scope {
    /// Reads all files of a package.
    pub(crate) fn read(root: &Path, package: &Package) -> Result<Self> {
        let mut reader = Reader {
            root,
            scope: Self {
                files: Vec::new(),
                modules: Vec::new(),
                library: None,
            },
        };
        for (index, file) in package.roots.iter().enumerate() {
            let path = package.folder.join(file);
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            let module = reader.file(path, folder, None)?;
            if index == 0 {
                reader.scope.library = package.library().map(|name| (name, module));
            }
        }
        Ok(reader.scope)
    }

    /// Returns the path of the root file of a file's target.
    pub(crate) fn root_of(&self, file: FileIndex) -> &Path {
        let root = self.modules[self.files[file].module].root;
        &self.files[self.modules[root].file].path
    }

    /// Returns the module of an inline declaration in another.
    pub(crate) fn inline(&self, module: ModuleIndex, name: &str) -> Option<ModuleIndex> {
        self.modules[module]
            .names
            .get(name)?
            .iter()
            .find_map(|meaning| match meaning {
                Meaning::Module(inner) => Some(*inner),
                Meaning::Item | Meaning::Import(_) => None,
            })
    }

    /// Whether a name without a path could come from a glob import of the module.
    pub(crate) fn may_be_glob(&self, module: ModuleIndex, name: &str) -> bool {
        let module = &self.modules[module];
        !module.globs.is_empty() && !module.names.contains_key(name)
    }

    /// Returns what a path in a module leads to: several targets where a name means several things.
    pub(crate) fn resolve(&self, module: ModuleIndex, path: &[String]) -> Vec<Target> {
        let mut targets = self.start(module, path, &mut Vec::new());
        targets.sort();
        targets.dedup();
        targets
    }

    fn start(
        &self,
        module: ModuleIndex,
        path: &[String],
        pending: &mut Vec<(ModuleIndex, String)>,
    ) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else {
            return vec![Target::Module(module)];
        };
        match first.as_str() {
            "crate" | "$crate" => return self.walk(self.modules[module].root, rest, pending),
            "self" => return self.walk(module, rest, pending),
            "super" => {
                let parent = self.modules[module].parent.unwrap_or(module);
                return match rest.first() {
                    Some(next) if next == "super" => self.start(parent, rest, pending),
                    _ => self.walk(parent, rest, pending),
                };
            }
            _ => {}
        }
        let found = self.look_up(module, first, rest, pending);
        if !found.is_empty() {
            return found;
        }
        match &self.library {
            Some((name, library)) if name == first => self.walk(*library, rest, pending),
            _ => vec![Target::Outside(path.to_vec())],
        }
    }

    fn walk(
        &self,
        module: ModuleIndex,
        path: &[String],
        pending: &mut Vec<(ModuleIndex, String)>,
    ) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else {
            return vec![Target::Module(module)];
        };
        let found = self.look_up(module, first, rest, pending);
        if found.is_empty() {
            // A macro generates it.
            return vec![Target::File(self.modules[module].file, first.clone())];
        }
        found
    }

    fn look_up(
        &self,
        module: ModuleIndex,
        name: &str,
        rest: &[String],
        pending: &mut Vec<(ModuleIndex, String)>,
    ) -> Vec<Target> {
        let key = (module, name.to_owned());
        if pending.contains(&key) {
            return Vec::new();
        }
        pending.push(key);
        let here = &self.modules[module];
        let meanings = here.names.get(name).map(Vec::as_slice).unwrap_or_default();
        let mut targets = Vec::new();
        for meaning in meanings {
            match meaning {
                // Nothing of a function is named by a path.
                Meaning::Item if !rest.is_empty() && meanings.len() > 1 => {}
                Meaning::Item => targets.push(Target::File(here.file, name.to_owned())),
                Meaning::Module(inner) => targets.extend(self.walk(*inner, rest, pending)),
                Meaning::Import(path) => {
                    let path: Vec<String> = path.iter().chain(rest).cloned().collect();
                    targets.extend(self.start(module, &path, pending));
                }
            }
        }
        if meanings.is_empty() {
            for glob in &here.globs {
                for target in self.start(module, glob, pending) {
                    if let Target::Module(inner) = target {
                        targets.extend(self.look_up(inner, name, rest, pending));
                    }
                }
            }
        }
        pending.pop();
        targets
    }
}

struct Reader<'a> {
    root: &'a Path,
    scope: Scope,
}

impl Reader<'_> {
    /// Reads the file of a module, whose modules are in the folder.
    fn file(
        &mut self,
        path: PathBuf,
        folder: PathBuf,
        parent: Option<ModuleIndex>,
    ) -> Result<ModuleIndex> {
        let full = self.root.join(&path);
        let text = fs::read_to_string(&full)
            .with_context(|| format!("{} cannot be read", full.display()))?;
        let mut syntax = syn::parse_file(&text)
            .with_context(|| format!("{} cannot be parsed", full.display()))?;
        let items = mem::take(&mut syntax.items);
        let file = self.scope.files.len();
        let module = self.module(file, parent);
        let is_face = items
            .iter()
            .filter(|item| !is_test(attributes(item)))
            .all(is_face);
        self.scope.files.push(SourceFile {
            path,
            syntax,
            module,
            is_face,
        });
        self.items(module, &items, &folder)?;
        self.scope.files[file].syntax.items = items;
        Ok(module)
    }

    fn module(&mut self, file: FileIndex, parent: Option<ModuleIndex>) -> ModuleIndex {
        let index = self.scope.modules.len();
        self.scope.modules.push(Module {
            file,
            parent,
            root: parent.map_or(index, |parent| self.scope.modules[parent].root),
            names: BTreeMap::new(),
            globs: Vec::new(),
        });
        index
    }

    fn items(&mut self, module: ModuleIndex, items: &[Item], folder: &Path) -> Result<()> {
        for item in items {
            if is_test(attributes(item)) {
                continue;
            }
            let name = match item {
                Item::Mod(inner) => {
                    self.inner(module, inner, folder)?;
                    continue;
                }
                Item::Const(item) => Some(&item.ident),
                Item::Enum(item) => Some(&item.ident),
                Item::Fn(item) => Some(&item.sig.ident),
                Item::Macro(item) => item.ident.as_ref(),
                Item::Static(item) => Some(&item.ident),
                Item::Struct(item) => Some(&item.ident),
                Item::Trait(item) => Some(&item.ident),
                Item::TraitAlias(item) => Some(&item.ident),
                Item::Type(item) => Some(&item.ident),
                Item::Union(item) => Some(&item.ident),
                Item::ExternCrate(_)
                | Item::ForeignMod(_)
                | Item::Impl(_)
                | Item::Use(_)
                | Item::Verbatim(_)
                | _ => None,
            };
            if let Some(name) = name {
                self.name(module, &name.to_string(), Meaning::Item);
            }
            let mut uses = Uses::default();
            uses.visit_item(item);
            for leaf in uses.0.into_iter().flat_map(leaves) {
                match leaf.name {
                    Some(name) => self.name(module, &name, Meaning::Import(leaf.path)),
                    None => self.scope.modules[module].globs.push(leaf.path),
                }
            }
        }
        Ok(())
    }

    fn inner(&mut self, module: ModuleIndex, inner: &ItemMod, folder: &Path) -> Result<()> {
        let name = inner.ident.to_string();
        let folder = folder.join(&name);
        let index = if let Some((_, items)) = &inner.content {
            let index = self.module(self.scope.modules[module].file, Some(module));
            self.items(index, items, &folder)?;
            index
        } else {
            if inner
                .attrs
                .iter()
                .any(|attribute| attribute.path().is_ident("path"))
            {
                bail!("the module `{name}` has a path of its own, which is not supported");
            }
            let file = folder.with_extension("rs");
            let path = if self.root.join(&file).is_file() {
                file
            } else {
                folder.join("mod.rs")
            };
            self.file(path, folder, Some(module))?
        };
        self.name(module, &name, Meaning::Module(index));
        Ok(())
    }

    fn name(&mut self, module: ModuleIndex, name: &str, meaning: Meaning) {
        self.scope.modules[module]
            .names
            .entry(name.to_owned())
            .or_default()
            .push(meaning);
    }
}

/// The `use` declarations of an item, those in its functions included.
#[derive(Default)]
struct Uses<'a>(Vec<&'a ItemUse>);

impl<'a> Visit<'a> for Uses<'a> {
    fn visit_item_use(&mut self, item: &'a ItemUse) {
        self.0.push(item);
    }
}
