//! Conversion of JSON schemas to schemas that the matcher enforces.
//!
//! Annotations, unknown formats, unknown keywords and conditions that always hold are dropped. The result may be narrower than the schema,
//! never wider: objects that name properties have no others unless the schema mentions them, numbers are those that every parser reads exactly,
//! keys come in the schema's order. A constraint that cannot be enforced is refused with its keyword and the JSON pointer of its schema.
//!
//! Drafts 4 to 2020-12 are supported at once: if the meaning of a keyword changed (`items`, `exclusiveMinimum`), its form determines the draft.

mod accepts;
mod disjoint;
mod emit;
mod expand;
mod flat;
mod formats;
mod negate;
mod numbers;
mod objects;
mod own;
mod references;
mod values;

use std::collections::HashMap;
use std::rc::Rc;

use flat::Part;
use llguidance::derivre::Regex;
use serde_json::{Map, Value, json};

use crate::error::{GrammarError, Result};

/// Longest schema in bytes.
const MAX_TEXT: usize = 1 << 20;
/// Largest number of subschemas, counted at each occurrence.
const MAX_SCHEMAS: usize = 20_000;
/// Largest nesting depth.
const MAX_DEPTH: usize = 64;
/// Largest number of attempts to locate a refused schema.
const MAX_TRIES: usize = 64;

/// Keywords that do not constrain answers.
const ANNOTATIONS: [&str; 20] = [
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$schema",
    "$id",
    "id",
    "$anchor",
    "$dynamicAnchor",
    "$comment",
    "$defs",
    "definitions",
    "$vocabulary",
    "contentMediaType",
    "contentEncoding",
    "contentSchema",
];
/// Keywords with subschemas by name, in a list, and single ones.
const NAMED: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
const LISTED: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
const SINGLE: [&str; 11] = [
    "items",
    "additionalItems",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
];

/// A schema in its original form.
#[derive(Debug)]
pub struct Schema {
    root: Value,
}

/// Converts the text of a schema to the matcher's form.
///
/// # Errors
/// [`GrammarError::UnsupportedSchema`].
pub fn normalise(text: &str) -> Result<Value> {
    Schema::parse(text)?.normal("")
}

impl Schema {
    /// Reads the text of a schema.
    ///
    /// # Errors
    /// [`GrammarError::UnsupportedSchema`] for text that is not JSON.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_TEXT {
            return Err(GrammarError::schema(
                "",
                "",
                format!("{} bytes are more than the {MAX_TEXT} allowed", text.len()),
            ));
        }
        let root =
            serde_json::from_str(text).map_err(|error| GrammarError::schema("", "", format!("not JSON: {error}")))?;
        Ok(Self { root })
    }

    /// Converts the schema at a pointer, and the definitions that it refers to, to the matcher's form.
    ///
    /// # Errors
    /// [`GrammarError::UnsupportedSchema`].
    pub fn normal(&self, pointer: &str) -> Result<Value> {
        let mut walk = Walk::new(&self.root);
        let start = self.root.pointer(pointer).unwrap_or(&self.root);
        let top = walk.node(&[Part::given(pointer, start)])?;
        let definitions = walk.definitions()?;
        let Value::Object(top) = top else { return Err(walk.unfit(pointer)) };
        references::check_depth(&top, &definitions)?;
        let mut normal = Map::from_iter([("$defs".into(), Value::Object(definitions))]);
        normal.extend(top);
        // The JSON style of Mistral's models and many others. Control characters and line breaks have short escapes; other characters need
        // none.
        let layout = json!({ "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": ",
            "json_allowed_escapes": "nrbtf\\\"" });
        normal.insert("x-guidance".into(), layout);
        Ok(Value::Object(normal))
    }

    /// Names the innermost schema that `compiles` refuses.
    pub(crate) fn locate(&self, error: &GrammarError, compiles: impl Fn(Value) -> bool) -> GrammarError {
        let (mut at, mut tries) = (String::new(), MAX_TRIES);
        let fails = |pointer: &str| self.normal(pointer).is_ok_and(|normal| !compiles(normal));
        while let Some(inner) = self.root.pointer(&at).map(|schema| children(schema, &at)) {
            let tried = inner.iter().take(tries).find(|pointer| fails(pointer));
            tries = tries.saturating_sub(inner.len());
            match tried {
                Some(pointer) => at = pointer.clone(),
                None => break,
            }
        }
        GrammarError::schema(&at, "", error.to_string())
    }
}

/// Pointers to the subschemas of a schema.
fn children(schema: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        let keyword = keyword.as_str();
        match value {
            Value::Object(map) if NAMED.contains(&keyword) => {
                found.extend(map.keys().map(|name| format!("{at}/{keyword}/{}", escaped(name))));
            }
            Value::Array(list) if LISTED.contains(&keyword) || keyword == "items" => {
                found.extend((0..list.len()).map(|index| format!("{at}/{keyword}/{index}")));
            }
            Value::Object(_) if SINGLE.contains(&keyword) => found.push(format!("{at}/{keyword}")),
            _ => {}
        }
    }
    found
}

/// A name, escaped for a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Keywords of one schema.
type Keywords = Map<String, Value>;

/// A conversion of a schema.
struct Walk<'a> {
    root: &'a Value,
    /// Depth of the schema that is converted.
    depth: usize,
    /// Number of schemas expanded, and of those expanded for comparisons.
    schemas: usize,
    compared: usize,
    references: references::References<'a>,
    /// Pointers to the schemas of the value that led to each other by references.
    followed: Vec<Rc<str>>,
    /// Schemas that are converted at the moment, by their keys, and their numbers as definitions if they contain themselves.
    open: HashMap<String, Option<usize>>,
    definitions: Map<String, Value>,
    regexes: HashMap<String, Regex>,
    /// True once an expansion has left values out.
    is_narrow: bool,
    /// The first reason why no value fits.
    unfit: Option<GrammarError>,
    /// True if dynamic references depend on who refers.
    is_dynamic: bool,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Value) -> Self {
        Self {
            root,
            depth: 0,
            schemas: 0,
            compared: 0,
            references: references::References::new(root),
            followed: Vec::new(),
            open: HashMap::new(),
            definitions: Map::new(),
            regexes: HashMap::new(),
            is_narrow: false,
            unfit: None,
            is_dynamic: references::is_dynamic(root),
        }
    }

    /// Notes why no value fits a schema.
    fn note(&mut self, at: &str, keyword: &str, reason: impl Into<String>) {
        self.unfit.get_or_insert_with(|| GrammarError::schema(at, keyword, reason));
    }

    /// The error for a schema that no value fits.
    fn unfit(&mut self, pointer: &str) -> GrammarError {
        self.unfit.take().unwrap_or_else(|| GrammarError::schema(pointer, "", "nothing can fit it"))
    }

    fn count_schema(&mut self, part: &Part<'a>) -> Result<()> {
        self.schemas += 1;
        if self.schemas > MAX_SCHEMAS {
            return part.refuse("", format!("more than {MAX_SCHEMAS} schemas"));
        }
        Ok(())
    }
}

/// Returns true if all keywords of a schema are annotations.
fn says_nothing(keywords: &Keywords) -> bool {
    keywords.keys().all(|keyword| ANNOTATIONS.contains(&keyword.as_str()))
}
