//! The modules of a crate: which file defines which name, and which names each file uses.
//!
//! Files are parsed with `syn`. A path is followed through `use` declarations and re-exports to
//! the file that defines the item. Items under `#[cfg(test)]` are left out. Limits: methods are
//! not resolved, and a name that only a macro produces is not found. Not here: which uses are
//! allowed.

mod uses;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use syn::{Item, UseTree, Visibility};

use crate::tree::Text;

/// The names that each file uses, by the file that defines them.
pub(crate) type Uses = BTreeMap<(String, String), BTreeSet<String>>;

/// The root file of each crate whose modules are read.
const ROOTS: &[&str] = &["engine/src/lib.rs", "driver/src/lib.rs", "perf/src/main.rs"];

/// How many `use` declarations a path is followed through.
const REDIRECTIONS_MAX: usize = 32;

/// A crate's modules; the first is its root.
pub(crate) struct Modules {
    modules: Vec<Module>,
}

#[derive(Default)]
struct Module {
    file: String,
    parent: usize,
    children: HashMap<String, usize>,
    items: BTreeSet<String>,
    /// What `use` declarations bind, private ones and re-exports, by name.
    bindings: HashMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    /// Paths that the code of this module names, each with at least two segments.
    paths: BTreeSet<Vec<String>>,
    /// Paths that this module re-exports.
    re_exports: BTreeSet<Vec<String>>,
}

/// What a path leads to.
enum Found {
    Module { file: String },
    Item { file: String, name: String },
}

/// Reads all crates of the workspace that have modules.
pub(crate) fn read_crates(texts: &[Text]) -> Result<Vec<Modules>, String> {
    let exists = |root: &&&str| texts.iter().any(|text| text.path == **root);
    ROOTS.iter().filter(exists).map(|root| Modules::read(root, texts)).collect()
}

impl Modules {
    /// Reads a crate from its root file, following `mod` declarations.
    pub(crate) fn read(root: &str, texts: &[Text]) -> Result<Self, String> {
        let texts = texts.iter().map(|text| (text.path.as_str(), text.text.as_str())).collect();
        let mut modules = Self { modules: Vec::new() };
        modules.add_file(root, 0, &texts)?;
        Ok(modules)
    }

    /// The root file.
    pub(crate) fn root(&self) -> &str {
        self.modules.first().map_or("", |module| &module.file)
    }

    /// Which file uses which names of which other file. Neither re-exports nor bare modules (`use
    /// crate::wire;`) are uses.
    pub(crate) fn uses(&self) -> Uses {
        let mut uses = Uses::new();
        for (index, module) in self.modules.iter().enumerate() {
            for path in &module.paths {
                if let Some(Found::Item { file, name }) = self.find(index, path, REDIRECTIONS_MAX) {
                    add_use(&mut uses, module, file, name);
                }
            }
        }
        uses
    }

    /// The uses, and the re-exports, glob imports and bare modules as well. A path that is followed
    /// to no item is an import of the last module on its way.
    pub(crate) fn imports(&self) -> Uses {
        let mut imports = Uses::new();
        for (index, module) in self.modules.iter().enumerate() {
            for path in module.paths.iter().chain(&module.re_exports).chain(&module.globs) {
                let found = (1..=path.len())
                    .rev()
                    .find_map(|length| self.find(index, &path[..length], REDIRECTIONS_MAX));
                match found {
                    Some(Found::Item { file, name }) => {
                        add_use(&mut imports, module, file, name);
                    }
                    Some(Found::Module { file }) => {
                        let name = path.last().cloned().unwrap_or_default();
                        add_use(&mut imports, module, file, name);
                    }
                    None => {}
                }
            }
        }
        imports
    }

    fn add_file(
        &mut self,
        path: &str,
        parent: usize,
        texts: &HashMap<&str, &str>,
    ) -> Result<usize, String> {
        let text = texts.get(path).ok_or_else(|| format!("{path} is missing"))?;
        let file = syn::parse_file(text).map_err(|error| format!("{path}: {error}"))?;
        self.add(path, folder_of(path), parent, &file.items, texts)
    }

    /// Adds a module whose child modules are looked for in `folder`.
    fn add(
        &mut self,
        file: &str,
        folder: String,
        parent: usize,
        items: &[Item],
        texts: &HashMap<&str, &str>,
    ) -> Result<usize, String> {
        let index = self.modules.len();
        self.modules.push(Module { file: file.to_owned(), parent, ..Module::default() });
        for item in items.iter().filter(|item| !uses::is_test(item)) {
            if let Item::Mod(module) = item {
                let name = module.ident.to_string();
                let inner = format!("{folder}/{name}");
                let child = match &module.content {
                    Some((_, items)) => self.add(file, inner, index, items, texts)?,
                    None => {
                        let flat = format!("{inner}.rs");
                        let is_flat = texts.contains_key(flat.as_str());
                        let nested = format!("{inner}/mod.rs");
                        self.add_file(if is_flat { &flat } else { &nested }, index, texts)?
                    }
                };
                self.modules[index].children.insert(name, child);
            } else {
                self.modules[index].add_item(item);
            }
        }
        Ok(index)
    }

    /// Follows a path that stands in a module.
    fn find(&self, module: usize, path: &[String], redirections: usize) -> Option<Found> {
        let mut at = module;
        let mut rest = path;
        // Only the first segment looks into the scope; `crate`, `self` and `super` come first.
        while let [first, others @ ..] = rest {
            match first.as_str() {
                "crate" => at = 0,
                "self" => {}
                "super" => at = self.modules[at].parent,
                _ => break,
            }
            rest = others;
        }
        let [name, others @ ..] = rest else {
            return Some(Found::Module { file: self.modules[at].file.clone() });
        };
        let module = &self.modules[at];
        if let Some(&child) = module.children.get(name) {
            return self.find_below(child, others, redirections);
        }
        if module.items.contains(name) {
            return Some(Found::Item { file: module.file.clone(), name: name.clone() });
        }
        let redirections = redirections.checked_sub(1)?;
        if let Some(target) = module.bindings.get(name) {
            let is_itself = target.first() == Some(name);
            let target: Vec<String> = target.iter().chain(others).cloned().collect();
            return if is_itself { None } else { self.find(at, &target, redirections) };
        }
        module.globs.iter().find_map(|glob| {
            let target: Vec<String> = glob.iter().chain(rest).cloned().collect();
            self.find(at, &target, redirections)
        })
    }

    /// Follows the rest of a path below a module.
    fn find_below(&self, module: usize, rest: &[String], redirections: usize) -> Option<Found> {
        let mut path = vec!["self".to_owned()];
        path.extend_from_slice(rest);
        self.find(module, &path, redirections)
    }
}

impl Module {
    fn add_item(&mut self, item: &Item) {
        let name = match item {
            Item::Use(item) => {
                let is_private = matches!(item.vis, Visibility::Inherited);
                self.add_use(&mut Vec::new(), &item.tree, is_private);
                return;
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
            _ => None,
        };
        self.items.extend(name.map(ToString::to_string));
        self.paths.extend(uses::paths_of(item));
    }

    /// A private `use` is a use of what it names; a re-export is not.
    fn add_use(&mut self, prefix: &mut Vec<String>, tree: &UseTree, is_private: bool) {
        let (last, bound) = match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.add_use(prefix, &path.tree, is_private);
                prefix.pop();
                return;
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(prefix, tree, is_private);
                }
                return;
            }
            UseTree::Glob(_) => return self.globs.push(prefix.clone()),
            UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
            UseTree::Rename(name) => (name.ident.to_string(), name.rename.to_string()),
        };
        let mut path = prefix.clone();
        let bound = if last == "self" { prefix.last().cloned().unwrap_or_default() } else { bound };
        if last != "self" {
            path.push(last);
        }
        if is_private {
            self.paths.insert(path.clone());
        } else {
            self.re_exports.insert(path.clone());
        }
        self.bindings.insert(bound, path);
    }
}

fn add_use(uses: &mut Uses, module: &Module, file: String, name: String) {
    if file != module.file {
        uses.entry((module.file.clone(), file)).or_default().insert(name);
    }
}

/// The folder of a file's child modules.
fn folder_of(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", name.trim_end_matches(".rs")),
    }
}

#[cfg(test)]
mod tests;
