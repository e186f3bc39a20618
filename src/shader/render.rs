//! One shader from the files it is made of.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;

use super::syntax::{Block, Kind, NEXT, Node, Piece, parse, pieces};
use super::{File, Shader, Value, file};
use crate::error::{Error, Result};

/// The shader's text: the kernel's own file first, so that its bindings are the first.
pub(super) fn source(shader: &Shader) -> Result<String> {
    Ok(rendered(shader)?.0)
}

/// The names of the files that it consists of.
pub(super) fn files(shader: &Shader) -> Result<Vec<&'static str>> {
    Ok(rendered(shader)?.1.into_iter().map(|(name, _)| name).collect())
}

/// A file, and what its names begin with.
type Unit = (&'static str, String);

fn rendered(shader: &Shader) -> Result<(String, Vec<Unit>)> {
    let missing = || Error::Internal { detail: format!("there is no file {}.wgsl", shader.file) };
    let root = file(shader.file).ok_or_else(missing)?;
    let given = shader.values.iter().filter_map(|&(name, value)| match value {
        Value::Number(number) => Some((name, number)),
        Value::File(_) => None,
    });
    let mut render = Render {
        shader,
        numbers: given.collect(),
        met: HashSet::new(),
        units: Vec::new(),
        emitted: HashSet::new(),
        binding: 0,
    };
    render.collect(root)?;
    if let Some((name, _)) = shader.values.iter().find(|(name, _)| !render.met.contains(name)) {
        return Err(Error::Internal { detail: format!("{}: nothing declares {name}", root.path) });
    }
    render.units.clear();
    let text = render.unit(root, "")?;
    Ok((text, render.units))
}

struct Render<'a> {
    shader: &'a Shader,
    /// Values of the constants.
    numbers: HashMap<&'static str, usize>,
    /// Constants and choices that the files declare.
    met: HashSet<&'static str>,
    /// Files that have been dealt with.
    units: Vec<Unit>,
    /// Constants that have been written, behind their prefix.
    emitted: HashSet<String>,
    /// Number of the last binding.
    binding: usize,
}

/// Numbers of repetitions, by letter.
type Letters = Vec<(&'static str, usize)>;
/// Files to go on with, and their prefixes.
type Uses = Vec<(&'static File, Option<String>)>;

fn fault(file: &File, line: usize, reason: impl Display) -> Error {
    Error::Internal { detail: format!("{}:{line}: {reason}", file.path) }
}

fn nodes(file: &File) -> Result<Block<'static>> {
    parse(file.text).map_err(|found| fault(file, found.line, found.reason))
}

impl Render<'_> {
    fn number(&self, file: &File, line: usize, name: &str, letters: &Letters) -> Result<usize> {
        let of_letter = letters.iter().rev().find(|(letter, _)| *letter == name).map(|(_, number)| *number);
        let found = of_letter.or_else(|| self.numbers.get(name).copied()).or_else(|| name.parse().ok());
        found.ok_or_else(|| fault(file, line, format!("{name} has no value")))
    }

    /// The file that a `use` names.
    fn used(&mut self, from: &File, line: usize, name: &'static str) -> Result<&'static File> {
        let name = match name.strip_prefix('$') {
            None => name,
            Some(choice) => {
                self.met.insert(choice);
                let chosen = self.shader.values.iter().find_map(|&(name, value)| match value {
                    Value::File(file) if name == choice => Some(file),
                    _ => None,
                });
                chosen.ok_or_else(|| fault(from, line, format!("no file is chosen for {choice}")))?
            }
        };
        file(name).ok_or_else(|| fault(from, line, format!("there is no file {name}.wgsl")))
    }

    /// The values of all constants.
    fn collect(&mut self, file: &'static File) -> Result<()> {
        let unit = (file.name, String::new());
        if self.units.contains(&unit) {
            return Ok(());
        }
        self.units.push(unit);
        let nodes = nodes(file)?;
        // What a file gives is known to the files that it uses.
        for Node { line, kind } in &nodes {
            if let Kind::Const { name, value: Some(number) } = kind
                && self.numbers.insert(name, *number).is_some_and(|before| before != *number)
            {
                return Err(fault(file, *line, format!("{name} has two values")));
            }
        }
        self.collect_block(file, &nodes)
    }

    fn collect_block(&mut self, file: &'static File, block: &Block<'static>) -> Result<()> {
        for Node { line, kind } in block {
            match kind {
                Kind::Text(_) => {}
                Kind::Use { file: name, .. } => {
                    let used = self.used(file, *line, name)?;
                    self.collect(used)?;
                }
                Kind::Const { name, .. } => {
                    self.met.insert(name);
                }
                Kind::Each { body, .. } => self.collect_block(file, body)?,
                Kind::When { name, set, unset } => {
                    let is_set = self.number(file, *line, name, &Vec::new())? != 0;
                    self.collect_block(file, if is_set { set } else { unset })?;
                }
            }
        }
        Ok(())
    }

    /// A file and those that it uses, each once.
    fn unit(&mut self, file: &'static File, prefix: &str) -> Result<String> {
        self.units.push((file.name, prefix.into()));
        let (mut out, mut uses) = (format!("// {}\n", file.path), Uses::new());
        self.block(file, prefix, &nodes(file)?, &mut Letters::new(), (&mut out, &mut uses))?;
        for (used, own_prefix) in uses {
            let whole = format!("{prefix}{}", own_prefix.as_deref().unwrap_or_default());
            if self.units.iter().any(|(name, prefix)| *name == used.name && *prefix == whole) {
                continue;
            }
            let text = self.unit(used, &whole)?;
            out += &own_prefix.map_or_else(|| text.clone(), |own| renamed(&text, &own));
        }
        Ok(out)
    }

    fn block(
        &mut self,
        file: &'static File,
        prefix: &str,
        block: &Block<'static>,
        letters: &mut Letters,
        (out, uses): (&mut String, &mut Uses),
    ) -> Result<()> {
        for Node { line, kind } in block {
            match kind {
                Kind::Text(text) => {
                    out.push_str(&self.filled(file, *line, text, letters)?);
                    out.push('\n');
                }
                Kind::Use { file: name, prefix } => {
                    let prefix = prefix.map(|prefix| self.filled(file, *line, prefix, letters)).transpose()?;
                    uses.push((self.used(file, *line, name)?, prefix.map(|prefix| prefix + "_")));
                }
                Kind::Const { name, .. } => {
                    let number = self.number(file, *line, name, letters)?;
                    if self.emitted.insert(format!("{prefix}{name}")) {
                        out.push_str(&format!("const {name}: u32 = {number}u;\n"));
                    }
                }
                Kind::Each { counters, body } => {
                    self.each(file, prefix, *line, (counters, body), letters, (out, uses))?;
                }
                Kind::When { name, set, unset } => {
                    let is_set = self.number(file, *line, name, letters)? != 0;
                    self.block(file, prefix, if is_set { set } else { unset }, letters, (out, uses))?;
                }
            }
        }
        Ok(())
    }

    fn each(
        &mut self,
        file: &'static File,
        prefix: &str,
        line: usize,
        (counters, body): (&[(&'static str, &'static str)], &Block<'static>),
        letters: &mut Letters,
        (out, uses): (&mut String, &mut Uses),
    ) -> Result<()> {
        let [(letter, count), rest @ ..] = counters else {
            return self.block(file, prefix, body, letters, (out, uses));
        };
        for number in 0..self.number(file, line, count, letters)? {
            letters.push((letter, number));
            self.each(file, prefix, line, (rest, body), letters, (out, uses))?;
            letters.pop();
        }
        Ok(())
    }

    /// A line with numbers in the place of names.
    fn filled(&mut self, file: &File, line: usize, text: &'static str, letters: &Letters) -> Result<String> {
        let mut out = String::with_capacity(text.len());
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Name(NEXT) => out.push_str(&(self.binding + 1).to_string()),
                Piece::Name(name) => out.push_str(&self.number(file, line, name, letters)?.to_string()),
            }
        }
        if let Some(binding) = binding(&out) {
            self.binding = binding;
        }
        Ok(out)
    }
}

/// The number of the binding that a line declares.
pub(crate) fn binding(line: &str) -> Option<usize> {
    line.split_once("@binding(")?.1.split_once(')')?.0.parse().ok()
}

fn is_part_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The name that a line declares for the whole shader.
fn declared(line: &str) -> Option<&str> {
    let line = if line.starts_with('@') { line.split_once(" var")?.1 } else { line };
    let word = ["fn ", "struct ", "alias ", "const ", "var"].into_iter().find_map(|word| line.strip_prefix(word));
    let rest = word.unwrap_or(line);
    let rest = rest.strip_prefix('<').and_then(|rest| rest.split_once("> ")).map_or(rest, |(_, rest)| rest);
    let name = rest.split(|c| !is_part_of_name(c)).next().filter(|name| !name.is_empty());
    name.filter(|_| word.is_some() || rest.len() < line.len())
}

/// `text` with `prefix` before every name that it declares, wherever the name stands but behind a dot.
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
    use super::*;

    fn fault_of(shader: &Shader) -> String {
        source(shader).expect_err("a fault").to_string()
    }

    #[test]
    fn a_constant_without_a_value_is_told_with_file_and_line() {
        let said = fault_of(&Shader::new("attention_join"));
        assert!(said.contains("shaders/attention_join.wgsl:2: HEAD_DIM4 has no value"), "{said}");
    }

    #[test]
    fn a_value_that_nothing_declares_is_told_with_the_file() {
        let said = fault_of(&Shader::new("attention_join").set("HEAD_DIM4", 4).set("HEAD_DIM", 16));
        assert!(said.contains("shaders/attention_join.wgsl: nothing declares HEAD_DIM"), "{said}");
    }

    #[test]
    fn a_file_that_does_not_exist_or_is_not_chosen_is_told() {
        let of =
            |shader: Shader| fault_of(&shader.set_all([("HEAD_DIM4", 4), ("INTERLEAVED", 0), ("SHARED_SCALE", 0)]));
        let said = of(Shader::new("rope_append"));
        assert!(said.contains("shaders/rope_append.wgsl:4: no file is chosen for CACHE"), "{said}");
        let said = of(Shader::new("rope_append").choose("CACHE", "cache_f8"));
        assert!(said.contains("shaders/rope_append.wgsl:4: there is no file cache_f8.wgsl"), "{said}");
        assert!(fault_of(&Shader::new("no_kernel")).contains("there is no file no_kernel.wgsl"));
    }

    #[test]
    fn bindings_are_counted_on_from_the_kernels_own() {
        let shader = Shader::new("rope_append").choose("CACHE", "cache_int8").set_all([
            ("HEAD_DIM4", 4),
            ("INTERLEAVED", 0),
            ("SHARED_SCALE", 1),
        ]);
        let text = source(&shader).expect("a shader");
        let found: Vec<usize> = text.lines().filter_map(binding).collect();
        assert_eq!(found, [0, 1, 2, 3, 4, 5]);
        assert_eq!(files(&shader).expect("files"), ["rope_append", "cache_int8", "half"]);
    }

    #[test]
    fn names_get_a_prefix_where_they_are_declared_and_used() {
        let text = "struct Pair { low: u32 }\n@group(0) @binding(4) var<storage, read> w: array<u32>;\nconst TWO = 2u;\n\
                    fn scales(at: u32) -> Pair {\n  let x = Pair(w[at] * TWO);\n  return Pair(x.low + p.w);\n}\n";
        let expected = "struct a_Pair { low: u32 }\n@group(0) @binding(4) var<storage, read> a_w: array<u32>;\n\
                        const a_TWO = 2u;\nfn a_scales(at: u32) -> a_Pair {\n  let x = a_Pair(a_w[at] * a_TWO);\n  \
                        return a_Pair(x.low + p.w);\n}\n";
        assert_eq!(renamed(text, "a_"), expected);
    }
}
