//! Modules of `agent/fib/src` use each other in one direction: `docs/concepts/architecture.md` has the picture.
//!
//! Every path that begins with `crate`, `super` or `self` counts, in `use` and elsewhere, re-exports followed to where the item is
//! defined. Tests may use anything.

#![allow(clippy::unwrap_used)] // It reads this crate's own source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The items of a module itself, as opposed to those of the modules in it.
const SELF: &str = "self";

/// For each module that holds others: these, the lowest first. Each may use those before it, and a module its own modules.
///
/// Without [`SELF`], a module is a list of re-exports that nothing in it uses.
const LAYERS: [(&str, &str); 8] = [
    (
        "crate",
        "hash types guard refusal kernel view plan doubt mailbox plan_lock shared worker handle",
    ),
    ("crate::kernel", "op event self socket wire netlink"),
    (
        "crate::kernel::wire",
        "numbers attributes rule encode decode",
    ),
    ("crate::view", "routes self resolve apply"),
    (
        "crate::plan",
        "resync work key stack queue failure table nexthops refusing self \
         wishes batch space admission failing leftovers listing merge adopt status",
    ),
    (
        "crate::plan::nexthops",
        "once users model self index pending links lost cut steps refused tidy twins",
    ),
    ("crate::plan::refusing", "self known status steps"),
    (
        "crate::worker",
        "broken report requests urgent self resync hear",
    ),
];

/// A path, one name after the other.
type Names = Vec<String>;

#[derive(Default)]
struct Source {
    /// What the `use` of each module bring in, by name.
    imports: BTreeMap<Names, BTreeMap<String, Names>>,
    /// Who mentions which path.
    mentions: Vec<(Names, Names)>,
}

#[test]
fn modules_use_each_other_in_one_direction() {
    let source = Source::read();
    let mut faults = BTreeSet::new();
    for module in source.imports.keys() {
        let Some((name, holder)) = module.split_last().filter(|(_, holder)| !holder.is_empty())
        else {
            continue;
        };
        if place(holder, name).is_none() {
            faults.insert(format!("{name} of {} is in no layer", holder.join("::")));
        }
    }
    for (from, path) in &source.mentions {
        let to = source.definition(path.clone());
        let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        // A module uses those in it.
        let Some(user) = from.get(common) else {
            continue;
        };
        let used = to.get(common).map_or(SELF, String::as_str);
        let holder = &from[..common];
        if place(holder, used).is_none() || place(holder, user) <= place(holder, used) {
            let (from, path, holder) = (from.join("::"), path.join("::"), holder.join("::"));
            faults.insert(format!(
                "{from} uses {path}: in {holder}, {user} is not above {used}"
            ));
        }
    }
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(
        faults.is_empty(),
        "{}\n(LAYERS in {})",
        faults.join("\n"),
        file!()
    );
}

/// Which of the layers of a module another one is.
fn place(holder: &[String], name: &str) -> Option<usize> {
    let holder = holder.join("::");
    let (_, layers) = LAYERS.iter().find(|(one, _)| *one == holder)?;
    layers.split(' ').position(|one| one == name)
}

impl Source {
    fn read() -> Self {
        let mut source = Self::default();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        source.read_folder(&root, &["crate".to_owned()]);
        source
    }

    fn read_folder(&mut self, folder: &Path, module: &[String]) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            // Those of tests alone.
            if matches!(name.as_str(), "tests" | "soak") {
                continue;
            }
            let mut inner = module.to_vec();
            if !matches!(name.as_str(), "lib" | "mod") {
                inner.push(name);
            }
            if path.is_dir() {
                self.read_folder(&path, &inner);
            } else {
                self.read_file(&fs::read_to_string(&path).unwrap(), inner);
            }
        }
    }

    fn read_file(&mut self, text: &str, module: Names) {
        self.imports.entry(module.clone()).or_default();
        let tokens = tokens(text);
        let mut tokens = tokens.iter().map(String::as_str).peekable();
        // The modules that are written out here, each with how many braces were open before it.
        let mut inline: Vec<(String, usize)> = Vec::new();
        let (mut depth, mut before) = (0, ["", ""]);
        while let Some(token) = tokens.next() {
            let is_read = inline.iter().all(|(name, _)| name != "tests");
            match token {
                "{" => {
                    if before[0] == "mod" {
                        inline.push((before[1].to_owned(), depth));
                    }
                    depth += 1;
                }
                "}" => {
                    depth -= 1;
                    inline.pop_if(|(_, opened)| *opened == depth);
                }
                "use" if is_read => {
                    let place = module_at(&module, &inline);
                    self.read_use(&mut tokens, &place, Names::new());
                }
                "crate" | "super" | "self" if is_read && !is_visibility(before) => {
                    let mut path = vec![token.to_owned()];
                    while tokens.next_if_eq(&"::").is_some() {
                        path.extend(tokens.next().map(str::to_owned));
                    }
                    let place = module_at(&module, &inline);
                    if path.len() > 1 {
                        self.mentions.push((module.clone(), absolute(&place, path)));
                    }
                }
                _ => {}
            }
            before = [before[1], token];
        }
    }

    /// Reads a tree of `use` behind `path`, up to what ends it.
    fn read_use<'a>(
        &mut self,
        tokens: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
        module: &Names,
        mut path: Names,
    ) {
        let mut name = None;
        loop {
            match tokens.next() {
                Some("::") => {}
                Some("{") => {
                    while tokens.next_if_eq(&"}").is_none() {
                        self.read_use(tokens, module, path.clone());
                        tokens.next_if_eq(&",");
                    }
                    path.clear();
                }
                Some("as") => name = tokens.next().map(str::to_owned),
                Some("self") if !path.is_empty() => {}
                Some(";") | None => break,
                Some(one) => path.push(one.to_owned()),
            }
            if matches!(tokens.peek(), Some(&("," | "}"))) {
                break;
            }
        }
        let Some(last) = path.last().cloned() else {
            return;
        };
        let path = absolute(module, path);
        let imports = self.imports.entry(module.clone()).or_default();
        imports.insert(name.unwrap_or(last), path.clone());
        self.mentions.push((module.clone(), path));
    }

    /// The module that defines what is at the end of a path.
    fn definition(&self, mut path: Names) -> Names {
        loop {
            let mut length = path.len();
            while !self.imports.contains_key(&path[..length]) {
                length -= 1;
            }
            let imported = path
                .get(length)
                .and_then(|name| self.imports[&path[..length]].get(name));
            match imported {
                Some(there) => {
                    path = there.iter().chain(&path[length + 1..]).cloned().collect();
                }
                None => {
                    path.truncate(length);
                    return path;
                }
            }
        }
    }
}

/// `pub(crate)`, `pub(super)` and `pub(in super::super)` use nothing.
fn is_visibility(before: [&str; 2]) -> bool {
    matches!(before, ["pub", "("] | ["(", "in"])
}

fn module_at(module: &Names, inline: &[(String, usize)]) -> Names {
    module
        .iter()
        .chain(inline.iter().map(|(name, _)| name))
        .cloned()
        .collect()
}

/// A path from the root on. One that begins with another name is that of a module in `module`; of another crate, and then it is found
/// nowhere below `module`.
fn absolute(module: &Names, path: Names) -> Names {
    let mut names = module.clone();
    let mut path = path.into_iter().peekable();
    match path.peek().map(String::as_str) {
        Some("crate") => names.clear(), // It begins with the root's name.
        Some("self") => {
            path.next();
        }
        Some("super") => {
            while path.next_if(|name| name == "super").is_some() {
                names.pop();
            }
        }
        _ => {}
    }
    names.extend(path);
    names
}

/// Names, `::`, and every other character by itself; without comments and texts.
fn tokens(text: &str) -> Names {
    let mut out = Names::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '"' => text_length(rest),
            '\'' => character_length(rest),
            ':' if rest.starts_with("::") => 2,
            _ if is_of_name(first) => rest.find(|one| !is_of_name(one)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        if !token.starts_with("//") && !token.starts_with(['"', '\'']) && !first.is_whitespace() {
            out.push(token.to_owned());
        }
        rest = behind;
    }
    out
}

fn is_of_name(one: char) -> bool {
    one.is_alphanumeric() || one == '_'
}

/// How long a text is, with its quotes. Raw ones are not in this crate.
fn text_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, one)| {
        let is_end = *one == '"' && !is_escaped;
        is_escaped = *one == '\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// How long a character is, with its quotes, or the quote of a lifetime alone.
fn character_length(text: &str) -> usize {
    let escaped = text.starts_with("'\\");
    let inside = text.chars().nth(1).map_or(0, char::len_utf8);
    match text[1..].find('\'') {
        Some(end) if escaped || end == inside => end + 2,
        _ => 1,
    }
}
