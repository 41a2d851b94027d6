//! Questions about syntax that the other modules share.

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, ImplItem, Item, ItemUse, Meta, Token, TraitItem, UseTree, Visibility,
    punctuated::Punctuated,
};

/// One name that a `use` declaration brings into scope.
pub(crate) struct Leaf {
    /// The path of what is imported.
    pub(crate) path: Vec<String>,
    /// The name under which it is in scope; none for a glob.
    pub(crate) name: Option<String>,
    /// The line of the name.
    pub(crate) line: usize,
}

/// Returns the names that a `use` declaration brings into scope.
pub(crate) fn leaves(item: &ItemUse) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    collect(&item.tree, &mut Vec::new(), &mut leaves);
    leaves
}

fn collect(tree: &UseTree, prefix: &mut Vec<String>, leaves: &mut Vec<Leaf>) {
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            collect(&path.tree, prefix, leaves);
            prefix.pop();
        }
        UseTree::Name(name) => leaves.push(leaf(prefix, &name.ident, &name.ident)),
        UseTree::Rename(rename) => leaves.push(leaf(prefix, &rename.ident, &rename.rename)),
        UseTree::Glob(glob) => leaves.push(Leaf {
            path: prefix.clone(),
            name: None,
            line: glob.star_token.spans[0].start().line,
        }),
        UseTree::Group(group) => {
            for tree in &group.items {
                collect(tree, prefix, leaves);
            }
        }
    }
}

fn leaf(prefix: &[String], ident: &syn::Ident, name: &syn::Ident) -> Leaf {
    let mut path = prefix.to_vec();
    let mut name = name.to_string();
    if ident == "self" {
        if name == "self" {
            name = path.last().cloned().unwrap_or_default();
        }
    } else {
        path.push(ident.to_string());
    }
    Leaf {
        path,
        name: Some(name),
        line: ident.span().start().line,
    }
}

/// Whether an item with these attributes is compiled only in tests.
pub(crate) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<Meta>()
                    .is_ok_and(|condition| needs_test(&condition))
    })
}

fn needs_test(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => {
            let Ok(parts) = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
            else {
                return false;
            };
            if list.path.is_ident("all") {
                parts.iter().any(needs_test)
            } else if list.path.is_ident("any") {
                parts.iter().all(needs_test)
            } else {
                false
            }
        }
        Meta::NameValue(_) => false,
    }
}

/// Whether an item only declares a module in another file or re-exports names.
pub(crate) fn is_face(item: &Item) -> bool {
    if let Item::Mod(module) = item {
        return module.content.is_none();
    }
    if let Item::Use(item) = item {
        return !matches!(item.vis, Visibility::Inherited);
    }
    false
}

/// Returns the attributes of an item.
pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Verbatim(_) | _ => &[],
    }
}

/// Returns the attributes of an item of an `impl` block.
pub(crate) fn attributes_in_impl(item: &ImplItem) -> &[Attribute] {
    match item {
        ImplItem::Const(item) => &item.attrs,
        ImplItem::Fn(item) => &item.attrs,
        ImplItem::Type(item) => &item.attrs,
        ImplItem::Macro(item) => &item.attrs,
        ImplItem::Verbatim(_) | _ => &[],
    }
}

/// Returns the attributes of an item of a trait.
pub(crate) fn attributes_in_trait(item: &TraitItem) -> &[Attribute] {
    match item {
        TraitItem::Const(item) => &item.attrs,
        TraitItem::Fn(item) => &item.attrs,
        TraitItem::Type(item) => &item.attrs,
        TraitItem::Macro(item) => &item.attrs,
        TraitItem::Verbatim(_) | _ => &[],
    }
}

/// A path in the arguments of a macro, with its line.
pub(crate) struct TokenPath {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// Whether a macro of this name is called.
    pub(crate) is_macro: bool,
}

/// Finds the paths in tokens that are not parsed, the arguments of a macro.
pub(crate) fn paths_in(tokens: TokenStream) -> Vec<TokenPath> {
    let mut paths = Vec::new();
    find_paths(tokens, &mut paths);
    paths
}

fn find_paths(tokens: TokenStream, paths: &mut Vec<TokenPath>) {
    let mut current: Option<TokenPath> = None;
    // The number of colons after the path so far.
    let mut colons = 0;
    let mut field = false;
    let mut finish = |current: &mut Option<TokenPath>| paths.extend(current.take());
    let mut groups = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(ident) if !field => match &mut current {
                Some(path) if colons == 2 => path.segments.push(ident.to_string()),
                _ => {
                    finish(&mut current);
                    current = Some(TokenPath {
                        segments: vec![ident.to_string()],
                        line: ident.span().start().line,
                        is_macro: false,
                    });
                }
            },
            TokenTree::Punct(punct)
                if punct.as_char() == ':' && current.is_some() && colons < 2 =>
            {
                colons += 1;
                continue;
            }
            TokenTree::Punct(punct) => {
                if let Some(path) = &mut current {
                    path.is_macro = punct.as_char() == '!' && colons == 0;
                }
                finish(&mut current);
                field = punct.as_char() == '.';
                colons = 0;
                continue;
            }
            TokenTree::Group(group) => {
                finish(&mut current);
                groups.push(group.stream());
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => finish(&mut current),
        }
        field = false;
        colons = 0;
    }
    finish(&mut current);
    for group in groups {
        find_paths(group, paths);
    }
}
