//! The modules of a package, the names in each, and the resolution of paths.

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
    /// The module that the file is.
    pub(crate) module: ModuleIndex,
    /// Whether it contains only declarations of modules and re-exports.
    pub(crate) is_face: bool,
}

/// A module, either a file or inline.
pub(crate) struct Module {
    pub(crate) file: FileIndex,
    parent: Option<ModuleIndex>,
    root: ModuleIndex,
    names: BTreeMap<String, Vec<Meaning>>,
    globs: Vec<Vec<String>>,
}

/// The meaning of a name in a module.
#[derive(Clone)]
enum Meaning {
    /// A type or trait of the module itself, which may contain names.
    Type,
    /// Another item of the module itself.
    Value,
    Module(ModuleIndex),
    /// An import, with its path.
    Import(Vec<String>),
}

/// The maximum number of imports through which a path may lead.
const MAX_DEPTH: usize = 32;

/// The target of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// An item that this file defines, with its name.
    File(FileIndex, String),
    Module(ModuleIndex),
    /// Something outside the package, by its full path; also a path that leads to no item, such as
    /// `Self::new`.
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
                Meaning::Type | Meaning::Value | Meaning::Import(_) => None,
            })
    }

    /// Whether a name without a path could come from a glob import of the module.
    pub(crate) fn may_be_glob(&self, module: ModuleIndex, name: &str) -> bool {
        let module = &self.modules[module];
        !module.globs.is_empty() && !module.names.contains_key(name)
    }

    /// Returns the targets of a path in a module: several if a name has several meanings.
    pub(crate) fn resolve(&self, module: ModuleIndex, path: &[String]) -> Vec<Target> {
        unique(self.start(module, path, None, 0))
    }

    /// Returns the targets of an import in a module.
    pub(crate) fn resolve_import(&self, module: ModuleIndex, path: &[String]) -> Vec<Target> {
        unique(self.start(module, path, Some(path), 0))
    }

    /// Resolves a path from the module that contains it; the path of an import does not resolve to
    /// the import itself.
    fn start(
        &self,
        module: ModuleIndex,
        path: &[String],
        import: Option<&[String]>,
        depth: usize,
    ) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else {
            return vec![Target::Module(module)];
        };
        match first.as_str() {
            "crate" | "$crate" => return self.walk(self.modules[module].root, rest, depth),
            "self" => return self.walk(module, rest, depth),
            "super" => {
                let parent = self.modules[module].parent.unwrap_or(module);
                return match rest.first() {
                    Some(next) if next == "super" => self.start(parent, rest, None, depth),
                    _ => self.walk(parent, rest, depth),
                };
            }
            _ => {}
        }
        let found = self.look_up(module, first, rest, import, depth);
        match (found, &self.library) {
            (Some(found), _) => found,
            (None, Some((name, library))) if name == first => self.walk(*library, rest, depth),
            (None, _) => vec![Target::Outside(path.to_vec())],
        }
    }

    /// Resolves the rest of a path from the module that its beginning names.
    fn walk(&self, module: ModuleIndex, path: &[String], depth: usize) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else {
            return vec![Target::Module(module)];
        };
        let here = &self.modules[module];
        match self.look_up(module, first, rest, None, depth) {
            Some(found) => found,
            None if here.names.contains_key(first) => Vec::new(),
            // A macro generates it.
            None => vec![Target::File(here.file, first.clone())],
        }
    }

    /// Returns the targets of a name in a module that is followed by `rest`, if the module has such
    /// a name and something can follow it.
    fn look_up(
        &self,
        module: ModuleIndex,
        name: &str,
        rest: &[String],
        import: Option<&[String]>,
        depth: usize,
    ) -> Option<Vec<Target>> {
        // Modules may import everything from each other.
        if depth > MAX_DEPTH {
            return None;
        }
        let here = &self.modules[module];
        let Some(meanings) = here.names.get(name) else {
            return here.globs.iter().find_map(|glob| {
                self.start(module, glob, None, depth + 1)
                    .into_iter()
                    .find_map(|target| match target {
                        Target::Module(inner) => self.look_up(inner, name, rest, None, depth + 1),
                        Target::File(..) | Target::Outside(_) => None,
                    })
            });
        };
        let mut targets = None::<Vec<Target>>;
        for meaning in meanings {
            let found = match meaning {
                Meaning::Value if !rest.is_empty() => continue,
                Meaning::Type | Meaning::Value => vec![Target::File(here.file, name.to_owned())],
                Meaning::Module(inner) => self.walk(*inner, rest, depth + 1),
                Meaning::Import(path) if import == Some(path) => continue,
                Meaning::Import(import) => {
                    let path: Vec<String> = import.iter().chain(rest).cloned().collect();
                    self.start(module, &path, Some(import), depth + 1)
                }
            };
            targets.get_or_insert_default().extend(found);
        }
        targets
    }
}

fn unique(mut targets: Vec<Target>) -> Vec<Target> {
    targets.sort();
    targets.dedup();
    targets
}

struct Reader<'a> {
    root: &'a Path,
    scope: Scope,
}

impl Reader<'_> {
    /// Reads the file of a module, whose child modules are in the folder.
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
            if let Item::Mod(inner) = item {
                self.inner(module, inner, folder)?;
                continue;
            }
            let (name, meaning) = match item {
                Item::Enum(item) => (Some(&item.ident), Meaning::Type),
                Item::Struct(item) => (Some(&item.ident), Meaning::Type),
                Item::Trait(item) => (Some(&item.ident), Meaning::Type),
                Item::TraitAlias(item) => (Some(&item.ident), Meaning::Type),
                Item::Type(item) => (Some(&item.ident), Meaning::Type),
                Item::Union(item) => (Some(&item.ident), Meaning::Type),
                Item::Const(item) => (Some(&item.ident), Meaning::Value),
                Item::Fn(item) => (Some(&item.sig.ident), Meaning::Value),
                Item::Macro(item) => (item.ident.as_ref(), Meaning::Value),
                Item::Static(item) => (Some(&item.ident), Meaning::Value),
                Item::ExternCrate(_)
                | Item::ForeignMod(_)
                | Item::Impl(_)
                | Item::Mod(_)
                | Item::Use(_)
                | Item::Verbatim(_)
                | _ => (None, Meaning::Value),
            };
            if let Some(name) = name {
                self.name(module, &name.to_string(), meaning);
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
