//! Tool arguments as elements: `<parameter=NAME>`, a line break, the value, a line break, `</parameter>`. Strings are written without quotes,
//! other values as JSON. This module makes their grammar from a tool's schema and converts them to JSON incrementally.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::json::{definition_line, quoted};
use crate::error::{Error, Result};

const OPEN: &str = "<parameter=";
const NAMED: &str = ">\n";
/// End of a value.
const CLOSE: &str = "\n</parameter>\n";
/// End of the arguments.
const END: &str = "</function>\n";
/// Name of the rule for a string and its end, which occurs nowhere in the string.
const TEXT_RULE: &str = "ARGUMENT_TEXT";
/// That rule, needed once in a grammar of elements.
pub(super) const TEXT: &str = r"ARGUMENT_TEXT: /(?s:.*)\n<\/parameter>\n/ & ~/(?s:.*)\n<\/parameter>(?s:..+)/";

/// Format of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Text without quotes.
    Text,
    /// Text without quotes, or `null`.
    TextOrNull,
    /// `true` or `false`, or their Python spelling.
    Flag,
    /// JSON.
    Json,
}

/// Formats of a tool's arguments by name, in the order of its schema.
pub type Forms = Vec<(String, Form)>;

/// The grammar of a tool's arguments, and the formats for reading them.
#[derive(Debug, Default)]
pub struct Elements {
    /// Rules of a Lark grammar.
    pub lark: String,
    /// Rules that are JSON: name, schema, and JSON pointer to the schema within the tool's schema.
    pub schemas: Vec<(String, String, String)>,
    /// Formats of the values.
    pub forms: Forms,
}

impl Elements {
    /// The grammar `rule` of arguments that match a schema.
    ///
    /// # Errors
    /// [`Error::UnsupportedSchema`] if the schema constrains the whole object by more than its properties and which of them are required.
    pub fn of(schema: &Value, rule: &str) -> Result<Self> {
        let whole = resolved(schema, schema);
        check(whole)?;
        let nothing = Map::new();
        let properties = whole.get("properties").and_then(Value::as_object).unwrap_or(&nothing);
        let required: Vec<&str> = list(whole, "required").filter_map(Value::as_str).collect();
        let any = json!({});
        let others = required.iter().filter(|name| !properties.contains_key(**name)).map(|name| (*name, &any));
        let all = properties.iter().map(|(name, inner)| (name.as_str(), inner)).chain(others);
        let (mut elements, mut sequence) = (Self::default(), String::from("\"\""));
        for (index, (name, inner)) in all.enumerate() {
            let pointer = format!("/properties/{}", name.replace('~', "~0").replace('/', "~1"));
            if name.is_empty() || name.contains(['>', '\n', '\0']) {
                return Err(refused(&pointer, "properties", "no argument can have this name"));
            }
            let own = format!("{rule}_{index}");
            let optional = if required.contains(&name) { "" } else { "?" };
            // Writing to a string cannot fail.
            let _ = write!(sequence, " {own}{optional}");
            let _ = write!(elements.lark, "{own}: {} ", quoted(&format!("{OPEN}{name}{NAMED}")));
            let (form, value) = written(schema, inner);
            if let Some(value) = value {
                let _ = writeln!(elements.lark, "{value}");
            } else {
                let _ = writeln!(elements.lark, "{own}_json {}", quoted(CLOSE));
                elements.schemas.push((format!("{own}_json"), within(schema, inner).to_string(), pointer));
            }
            elements.forms.push((name.to_owned(), form));
        }
        let _ = writeln!(elements.lark, "{rule}: {sequence}");
        Ok(elements)
    }
}

/// The elements of a call in an earlier turn, in the format of published templates.
///
/// # Errors
/// [`Error::InvalidRequest`] for `arguments` that are not a JSON object.
pub fn written_elements(arguments: &str, field: &str) -> Result<String> {
    let text = if arguments.trim().is_empty() { "{}" } else { arguments };
    let values: Map<String, Value> =
        serde_json::from_str(text).map_err(|_| Error::request(field, "arguments must be a JSON object"))?;
    let mut all = String::new();
    for (name, value) in values {
        let value = match value {
            Value::String(text) => text,
            Value::Bool(is_so) => if is_so { "True" } else { "False" }.to_owned(),
            Value::Null => "None".into(),
            other => definition_line(&other),
        };
        all += &format!("{OPEN}{name}{NAMED}{value}{CLOSE}");
    }
    Ok(all)
}

/// Format of a value that matches a schema, and the grammar rule of the value and its end; no rule for JSON.
fn written(root: &Value, schema: &Value) -> (Form, Option<String>) {
    let (schema, beside_null) = without_null(root, resolved(root, schema));
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        kinds => kinds.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect(),
    };
    let says = |keywords: &[&str]| keywords.iter().any(|keyword| schema.get(keyword).is_some());
    let own: Vec<&str> = kinds.iter().copied().filter(|kind| *kind != "null").collect();
    let values: Vec<&Value> = match schema.get("const") {
        Some(only) => vec![only],
        None => list(schema, "enum").collect(),
    };
    let form = |is_nullable| if is_nullable { Form::TextOrNull } else { Form::Text };
    // A string with further constraints is written as JSON, with quotes.
    if says(&[
        "pattern",
        "format",
        "minLength",
        "maxLength",
        "anyOf",
        "oneOf",
        "allOf",
        "not",
        "if",
        "$ref",
        "nullable",
    ]) {
        return (Form::Json, None);
    }
    match own[..] {
        ["string"] if !says(&["enum", "const"]) => {
            (form(beside_null || kinds.contains(&"null")), Some(TEXT_RULE.to_owned()))
        }
        ["boolean"] if own.len() == kinds.len() && !beside_null && !says(&["enum", "const"]) => {
            let values = format!("(\"true\" | \"false\" | \"True\" | \"False\") {}", quoted(CLOSE));
            (Form::Flag, Some(values))
        }
        ["string"] | [] if !values.is_empty() => {
            let is_fine = |text: &&str| !text.contains(CLOSE.trim_end()) && !text.contains('\0');
            let texts: Vec<&str> = values.iter().filter_map(|value| value.as_str()).filter(is_fine).collect();
            let lists_null = values.iter().any(|value| value.is_null());
            let is_nullable = beside_null || lists_null && (kinds.is_empty() || kinds.contains(&"null"));
            let is_plain = !texts.is_empty() && texts.len() + usize::from(lists_null) == values.len();
            if !is_plain || is_nullable && texts.contains(&"null") {
                return (Form::Json, None);
            }
            let all: Vec<String> = texts.into_iter().chain(is_nullable.then_some("null")).map(quoted).collect();
            (form(is_nullable), Some(format!("({}) {}", all.join(" | "), quoted(CLOSE))))
        }
        _ => (Form::Json, None),
    }
}

/// Splits `anyOf: [T, null]` into `(T, true)`; other schemas are returned with `false`.
fn without_null<'a>(root: &'a Value, schema: &'a Value) -> (&'a Value, bool) {
    let is_null = |inner: &&Value| inner.get("type").and_then(Value::as_str) == Some("null");
    for keyword in ["anyOf", "oneOf"] {
        let (null, others): (Vec<&Value>, Vec<&Value>) = list(schema, keyword).partition(is_null);
        let says_else = ["type", "enum", "const", "properties", "items"].iter().any(|own| schema.get(own).is_some());
        if let ([_], [one], false) = (&null[..], &others[..], says_else) {
            return (resolved(root, one), true);
        }
    }
    (schema, false)
}

/// Follows references of a schema that has no keywords of its own.
fn resolved<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..8 {
        let alone = schema.get("allOf").and_then(Value::as_array).filter(|all| all.len() == 1).map(|all| &all[0]);
        let pointer = schema.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#'));
        let says_more = schema.as_object().is_some_and(|own| own.keys().any(|key| KEYWORDS.contains(&key.as_str())));
        match pointer.and_then(|pointer| root.pointer(pointer)).or(alone).filter(|_| !says_more) {
            Some(inner) => schema = inner,
            None => break,
        }
    }
    schema
}

/// Keywords that constrain a value in addition to a reference.
const KEYWORDS: [&str; 8] = ["type", "enum", "const", "properties", "required", "anyOf", "oneOf", "not"];

/// Makes a schema within another one self-contained.
fn within(root: &Value, schema: &Value) -> Value {
    let Value::Object(own) = schema else { return schema.clone() };
    let mut own = own.clone();
    for keyword in ["$defs", "definitions"] {
        if let Some(definitions) = root.get(keyword) {
            own.entry(keyword).or_insert_with(|| definitions.clone());
        }
    }
    Value::Object(own)
}

/// Refuses constraints on the whole object that a sequence of elements cannot enforce.
fn check(schema: &Value) -> Result<()> {
    const WHOLE: [&str; 13] = [
        "$ref",
        "anyOf",
        "oneOf",
        "allOf",
        "not",
        "if",
        "enum",
        "const",
        "dependentRequired",
        "dependentSchemas",
        "dependencies",
        "propertyNames",
        "unevaluatedProperties",
    ];
    let says = |keyword: &&&str| schema.get(**keyword).is_some_and(|value| value.as_bool().is_none());
    if let Some(keyword) = WHOLE.iter().find(says) {
        return Err(refused("", keyword, "of arguments only properties and required are supported"));
    }
    let count = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
    let (required, all) =
        (list(schema, "required").count() as u64, schema.get("properties").and_then(Value::as_object));
    if count("minProperties").is_some_and(|least| least > required) {
        return Err(refused("", "minProperties", "is more than are required"));
    }
    if count("maxProperties").is_some_and(|most| most < all.map_or(0, Map::len) as u64) {
        return Err(refused("", "maxProperties", "is less than there are"));
    }
    Ok(())
}

fn refused(pointer: &str, keyword: &str, reason: &str) -> Error {
    Error::UnsupportedSchema { pointer: pointer.into(), keyword: keyword.into(), reason: reason.into() }
}

fn list<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    schema.get(keyword).and_then(Value::as_array).into_iter().flatten()
}

/// Incremental converter of elements to JSON.
#[derive(Debug, Clone, Default)]
pub(super) struct ElementReader {
    forms: Forms,
    /// Format of the current value, and true if part of it has been returned.
    value: Option<(Form, bool)>,
    /// Number of elements so far.
    count: usize,
    /// Text that is not certain yet.
    held: String,
}

impl ElementReader {
    /// A converter for values in these formats.
    pub(super) fn new(forms: Forms) -> Self {
        Self { forms, ..Self::default() }
    }

    /// Reads text, and appends the JSON that is certain to `json`. Returns true at the end of the arguments.
    pub(super) fn push(&mut self, text: &str, json: &mut String) -> bool {
        self.held.push_str(text);
        loop {
            if let Some((form, told)) = self.value.clone() {
                if !self.read_value(&form, told, json) {
                    return false;
                }
            } else if let Some((name, rest)) =
                self.held.strip_prefix(OPEN).and_then(|element| element.split_once(NAMED))
            {
                *json += &format!("{}{}: ", if self.count == 0 { "{" } else { ", " }, quoted(name));
                let form = self.forms.iter().find(|(known, _)| known == name);
                self.value = Some((form.map_or(Form::Text, |(_, form)| form.clone()), false));
                self.count += 1;
                self.held = rest.to_owned();
            } else if self.held.starts_with(END) {
                *json += if self.count == 0 { "{}" } else { "}" };
                return true;
            } else {
                return false;
            }
        }
    }

    /// Reads a value. Returns true at its end.
    fn read_value(&mut self, form: &Form, told: bool, json: &mut String) -> bool {
        let end = self.held.find(CLOSE);
        let len = end.unwrap_or_else(|| certain(&self.held));
        match (form, end) {
            (Form::Flag, None) => return false,
            (Form::TextOrNull, None) if !told && format!("null{CLOSE}").starts_with(&self.held) => return false,
            (Form::Flag, Some(_)) => *json += &self.held[..len].to_lowercase(),
            (Form::Json, _) => *json += &self.held[..len],
            (Form::TextOrNull, Some(_)) if !told && &self.held[..len] == "null" => *json += "null",
            (Form::Text | Form::TextOrNull, _) => {
                let marked = quoted(&self.held[..len]);
                *json += if told { "" } else { "\"" };
                *json += &marked[1..marked.len() - 1];
                *json += if end.is_some() { "\"" } else { "" };
            }
        }
        self.value = end.is_none().then(|| (form.clone(), true));
        self.held.drain(..end.map_or(len, |end| end + CLOSE.len()));
        end.is_some()
    }

    /// The text held back when the arguments end too early.
    pub(super) fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        match self.value.take() {
            Some((Form::Text | Form::TextOrNull, told)) => {
                let marked = quoted(&held);
                format!("{}{}", if told { "" } else { "\"" }, &marked[1..marked.len() - 1])
            }
            Some(_) => held,
            None => String::new(),
        }
    }
}

/// Length of the prefix of a value that cannot belong to its end marker.
fn certain(held: &str) -> usize {
    let begins_end = |len: &usize| CLOSE.get(..*len).is_some_and(|begin| held.ends_with(begin));
    held.len() - (0..CLOSE.len()).rev().find(begins_end).unwrap_or(0)
}
