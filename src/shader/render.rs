//! Renders a shader from its files.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;

use super::syntax::{Kind, Node, filled, parse};
use super::{FILES, File, Shader};
use crate::error::{Error, Result};

/// The shader's text. The kernel's own file is first, so that its bindings are the first.
pub(super) fn source(shader: &Shader) -> Result<String> {
    let mut render =
        Render { shader, numbers: shader.numbers.iter().copied().collect(), met: HashSet::new(), done: HashSet::new() };
    let root = file(shader.file).ok_or_else(|| Error::Internal { detail: no_file(shader.file) })?;
    let text = render.unit(root, "")?;
    let mut given = shader.numbers.iter().map(|(name, _)| name).chain(shader.files.iter().map(|(name, _)| name));
    match given.find(|name| !render.met.contains(*name)) {
        Some(name) => Err(Error::Internal { detail: format!("{}: nothing declares {name}", root.path) }),
        None => Ok(numbered(&text)),
    }
}

fn file(name: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.name == name)
}

fn no_file(name: &str) -> String {
    format!("there is no file {name}.wgsl")
}

struct Render<'a> {
    shader: &'a Shader,
    /// Numbers of constants and of the enclosing repetitions.
    numbers: HashMap<&'static str, usize>,
    /// Constants and choices that the files declare.
    met: HashSet<&'static str>,
    /// Files and constants that have been written, each with the prefix of its names.
    done: HashSet<(&'static str, String)>,
}

/// A file that is being rendered.
struct Unit<'a> {
    file: &'static File,
    prefix: &'a str,
    text: String,
    /// Text of the files that it uses.
    used: String,
}

impl Unit<'_> {
    fn fault(&self, line: usize, reason: impl Display) -> Error {
        Error::Internal { detail: format!("{}:{line}: {reason}", self.file.path) }
    }
}

impl Render<'_> {
    /// Renders a file, followed by the files that it uses, each once.
    fn unit(&mut self, file: &'static File, prefix: &str) -> Result<String> {
        if !self.done.insert((file.name, prefix.to_owned())) {
            return Ok(String::new());
        }
        let mut unit = Unit { file, prefix, text: format!("// {}\n", file.path), used: String::new() };
        let nodes = parse(file.text, &|name| self::file(name).is_some())
            .map_err(|found| unit.fault(found.line, found.reason))?;
        self.block(&nodes, &mut unit)?;
        Ok(unit.text + &unit.used)
    }

    fn block(&mut self, nodes: &[Node<'static>], unit: &mut Unit<'_>) -> Result<()> {
        for Node { line, kind } in nodes {
            match kind {
                Kind::Text(text) => {
                    unit.text += &filled(text, |name| self.number(unit, *line, name))?;
                    unit.text.push('\n');
                }
                Kind::Use { file: name, prefix } => {
                    let chosen = self.chosen(name).map_err(|reason| unit.fault(*line, reason))?;
                    let own = prefix.map(|prefix| filled(prefix, |name| self.number(unit, *line, name))).transpose()?;
                    let own = own.map_or_else(String::new, |own| own + "_");
                    let text = self.unit(chosen, &format!("{}{own}", unit.prefix))?;
                    unit.used += &if own.is_empty() { text } else { renamed(&text, &own) };
                }
                Kind::Const { name, number: own, is_default } => {
                    self.met.insert(name);
                    let own = own.filter(|_| !is_default || !self.numbers.contains_key(name));
                    let given = own.and_then(|own| self.numbers.insert(name, own));
                    let number = self.number(unit, *line, name)?;
                    if given.is_some_and(|given| given != number) {
                        return Err(unit.fault(*line, format!("{name} has two values")));
                    }
                    if self.done.insert((name, unit.prefix.to_owned())) {
                        unit.text += &format!("const {name}: u32 = {number}u;\n");
                    }
                }
                Kind::Each { letter, count, body } => {
                    for number in 0..self.number(unit, *line, count)? {
                        self.numbers.insert(letter, number);
                        self.block(body, unit)?;
                    }
                    self.numbers.remove(letter);
                }
                Kind::When { name, set, unset } => {
                    let is_set = self.number(unit, *line, name)? != 0;
                    self.block(if is_set { set } else { unset }, unit)?;
                }
            }
        }
        Ok(())
    }

    fn number(&self, unit: &Unit<'_>, line: usize, name: &str) -> Result<usize> {
        let number = self.numbers.get(name).copied().or_else(|| name.parse().ok());
        number.ok_or_else(|| unit.fault(line, format!("{name} has no value")))
    }

    /// The file of a `use` directive.
    fn chosen(&mut self, name: &'static str) -> std::result::Result<&'static File, String> {
        let name = match name.strip_prefix('$') {
            None => name,
            Some(choice) => {
                self.met.insert(choice);
                let chosen = self.shader.files.iter().find(|(name, _)| *name == choice);
                chosen.ok_or_else(|| format!("no file is chosen for {choice}"))?.1
            }
        };
        file(name).ok_or_else(|| no_file(name))
    }
}

/// `text` with its bindings numbered.
fn numbered(text: &str) -> String {
    const BINDING: &str = "@binding(";
    let mut parts = text.split(BINDING);
    let mut out = parts.next().unwrap_or_default().to_owned();
    let mut binding = 0;
    for part in parts {
        let (number, rest) = part.split_once(')').unwrap_or((part, ""));
        binding = if number == "next" { binding + 1 } else { number.parse().unwrap_or(binding) };
        out += &format!("{BINDING}{binding}){rest}");
    }
    out
}

fn is_part_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The name that a line declares at module scope.
fn declared(line: &str) -> Option<&str> {
    let after_word = || ["fn ", "struct ", "alias ", "const "].iter().find_map(|word| line.strip_prefix(word));
    let variable = line.split_once("> ").filter(|(before, _)| !line.starts_with(' ') && before.contains("var<"));
    let rest = variable.map(|(_, rest)| rest).or_else(after_word)?;
    rest.split(|c| !is_part_of_name(c)).next()
}

/// `text` with `prefix` before every occurrence of a name that it declares, except after a dot.
fn renamed(text: &str, prefix: &str) -> String {
    let names: HashSet<&str> = text.lines().filter_map(declared).collect();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_part_of_name) {
        let (before, from) = rest.split_at(start);
        let (name, after) = from.split_at(from.find(|c| !is_part_of_name(c)).unwrap_or(from.len()));
        out.push_str(before);
        if names.contains(name) && !before.ends_with('.') {
            out.push_str(prefix);
        }
        out.push_str(name);
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_get_a_prefix_where_they_are_declared_and_used() {
        let text = "struct Pair { low: u32 }\n@group(0) @binding(4) var<storage, read> w: array<u32>;\nconst TWO = 2u;\n\
                    fn scales(at: u32) -> Pair {\n  let x = Pair(w[at] * TWO);\n  return Pair(x.low + p.w);\n}\n";
        let expected = "struct a_Pair { low: u32 }\n@group(0) @binding(4) var<storage, read> a_w: array<u32>;\n\
                        const a_TWO = 2u;\nfn a_scales(at: u32) -> a_Pair {\n  let x = a_Pair(a_w[at] * a_TWO);\n  \
                        return a_Pair(x.low + p.w);\n}\n";
        assert_eq!(super::renamed(text, "a_"), expected);
    }
}
