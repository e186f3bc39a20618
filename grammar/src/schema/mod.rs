//! Conversion of JSON schemas to schemas that the matcher enforces.
//!
//! Annotations, unknown formats, unknown keywords and conditions that always hold are dropped. The result may be narrower than the schema,
//! never wider: objects that name properties have no others unless the schema mentions them, numbers are those that every parser reads exactly,
//! keys come in the schema's order. A constraint that cannot be enforced is refused with its keyword and the JSON pointer of its schema.
//!
//! Drafts 4 to 2020-12 are supported at once: if the meaning of a keyword changed (`items`, `exclusiveMinimum`), its form determines the draft.

mod applicators;
mod arrays;
mod disjoint;
mod formats;
mod numbers;
mod objects;
mod references;
mod strings;

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
const ANNOTATIONS: [&str; 19] = [
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
const SINGLE: [&str; 7] = [
    "items",
    "additionalItems",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "not",
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
        walk.at = pointer.into();
        let top = walk.schema(start)?;
        let definitions = walk.definitions()?;
        let mut normal = Map::from_iter([("$defs".into(), Value::Object(definitions))]);
        match top {
            Value::Object(top) => normal.extend(top),
            _ => return Err(GrammarError::schema(pointer, "", "nothing can fit it")),
        }
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

/// A traversal of a schema, with its location.
struct Walk<'a> {
    root: &'a Value,
    at: String,
    depth: usize,
    schemas: usize,
    references: references::References<'a>,
    /// True if objects that name properties are closed by default, which is not so for combined schemas.
    closes: bool,
}

/// Keywords of one schema.
type Keywords = Map<String, Value>;

impl<'a> Walk<'a> {
    fn new(root: &'a Value) -> Self {
        let references = references::References::new(root);
        Self { root, at: String::new(), depth: 0, schemas: 0, references, closes: !combines(root) }
    }

    fn refuse<T>(&self, keyword: &str, reason: impl Into<String>) -> Result<T> {
        Err(GrammarError::schema(&self.at, keyword, reason))
    }

    /// Visits `place` below the current location.
    fn below<T>(&mut self, place: &str, visit: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = self.at.len();
        self.at += place;
        let visited = visit(self);
        if visited.is_ok() {
            self.at.truncate(before);
        }
        visited
    }

    /// Converts a subschema of the current schema.
    fn inner(&mut self, place: &str, value: &'a Value) -> Result<Value> {
        self.below(place, |walk| walk.schema(value))
    }

    fn schema(&mut self, value: &'a Value) -> Result<Value> {
        self.schemas += 1;
        if self.schemas > MAX_SCHEMAS || self.depth == MAX_DEPTH {
            return self
                .refuse("", format!("more than {MAX_SCHEMAS} schemas, or more than {MAX_DEPTH} one within the other"));
        }
        match value {
            Value::Bool(true) => Ok(self.any()),
            Value::Bool(false) => Ok(Value::Bool(false)),
            Value::Object(keywords) => {
                self.depth += 1;
                let normal = self.keywords(keywords);
                self.depth -= 1;
                normal
            }
            _ => self.refuse("", "a schema is an object, true or false"),
        }
    }

    fn keywords(&mut self, given: &'a Keywords) -> Result<Value> {
        self.check(given)?;
        let mut out = Keywords::new();
        if self.combined(given, &mut out)? {
            return Ok(Value::Bool(false));
        }
        let literals = self.literals(given, &mut out)?;
        let types = self.types(given)?;
        let has = |name: &str| types.iter().any(|known| known == name);
        let (numeric, string, array, object) =
            (has("number") || has("integer"), has("string"), has("array"), has("object"));
        let narrow = !literals;
        if numeric {
            self.numbers(given, &mut out, has("number"), narrow)?;
        }
        if string {
            self.strings(given, &mut out)?;
        }
        if array {
            self.arrays(given, &mut out, narrow)?;
        }
        if object {
            self.objects(given, &mut out, narrow)?;
        }
        if !types.is_empty() && narrow {
            let names = if let [one] = &types[..] { json!(one) } else { json!(types) };
            out.insert("type".into(), names);
        }
        Ok(if out.is_empty() { self.any() } else { Value::Object(out) })
    }

    /// Refuses keywords that are never supported.
    fn check(&self, given: &Keywords) -> Result<()> {
        for (keyword, value) in given {
            let reason = match (keyword.as_str(), value) {
                ("$dynamicRef" | "$recursiveRef", _) => "references that depend on who refers are not supported",
                ("nullable", Value::Bool(true)) => "is no keyword of JSON Schema: name \"null\" in type",
                ("if", _) if given.contains_key("then") || given.contains_key("else") => {
                    "conditions cannot be enforced"
                }
                ("not", Value::Bool(_)) => continue,
                ("not", Value::Object(inner)) if says_nothing(inner) => continue,
                ("not", _) => "what is forbidden cannot be enforced: say what is allowed",
                _ => continue,
            };
            return self.refuse(keyword, reason);
        }
        Ok(())
    }

    /// The types allowed by a schema; without `type`, those that its keywords are about.
    fn types(&self, given: &Keywords) -> Result<Vec<String>> {
        const NAMES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];
        let mut types: Vec<String> = match given.get("type") {
            None => implied_types(given),
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(_) => return self.refuse("type", "must be a name or a list of names"),
        };
        if let Some(unknown) = types.iter().find(|name| !NAMES.contains(&name.as_str())) {
            return self.refuse("type", format!("{unknown:?} is no type"));
        }
        if types.is_empty() && given.contains_key("type") {
            return self.refuse("type", "names no type");
        }
        if types.iter().any(|name| name == "number") {
            types.retain(|name| name != "integer");
        }
        let mut seen: Vec<String> = Vec::new();
        types.retain(|name| {
            let is_new = !seen.contains(name);
            seen.push(name.clone());
            is_new
        });
        Ok(types)
    }

    /// A non-negative integer.
    fn count(&self, given: &Keywords, keyword: &str) -> Result<Option<u64>> {
        let Some(value) = given.get(keyword) else { return Ok(None) };
        let whole = |number: f64| (number >= 0.0 && number.fract() == 0.0 && number < 1e15).then_some(number as u64);
        match value.as_u64().or_else(|| value.as_f64().and_then(whole)) {
            Some(count) => Ok(Some(count)),
            None => self.refuse(keyword, "must be a whole number of at least 0"),
        }
    }
}

/// The types that keywords are about.
fn implied_types(given: &Keywords) -> Vec<String> {
    let about = [
        ("object", &objects::KEYWORDS[..]),
        ("array", &arrays::KEYWORDS[..]),
        ("string", &strings::KEYWORDS[..]),
        ("number", &numbers::KEYWORDS[..]),
    ];
    let implied = about.iter().filter(|(_, keywords)| keywords.iter().any(|keyword| given.contains_key(*keyword)));
    implied.map(|(name, _)| (*name).to_owned()).collect()
}

/// Returns true if all keywords of a schema are annotations.
fn says_nothing(keywords: &Keywords) -> bool {
    keywords.keys().all(|keyword| ANNOTATIONS.contains(&keyword.as_str()))
}

/// Returns true if schemas are combined anywhere in a way that an object may have to match several.
fn combines(root: &Value) -> bool {
    let mut open = vec![root];
    while let Some(value) = open.pop() {
        if let Value::Object(map) = value {
            let has = |names: &[&str]| names.iter().filter(|name| map.contains_key(**name)).count();
            let own = usize::from(has(&["properties", "required", "additionalProperties", "patternProperties"]) > 0);
            if has(&["allOf"]) > 0 || own + has(&["$ref", "anyOf", "oneOf"]) > 1 {
                return true;
            }
            open.extend(map.values());
        } else if let Value::Array(list) = value {
            open.extend(list);
        }
    }
    false
}
