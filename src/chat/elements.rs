//! Arguments of calls as elements, one each: `<parameter=NAME>`, a line break, the value, a line break, `</parameter>`. Texts stand there
//! as they are, everything else as JSON. The grammar of them by a tool's schema, and how JSON is made of them as they come.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::json::{definition_line, quoted};
use crate::error::{Error, Result};

const OPEN: &str = "<parameter=";
const NAMED: &str = ">\n";
/// What ends a value.
const CLOSE: &str = "\n</parameter>\n";
/// What ends the arguments.
const END: &str = "</function>\n";
/// The rule of texts with what ends them, which occurs in none.
const TEXT_RULE: &str = "ARGUMENT_TEXT";
/// That rule, which grammars of elements need once.
pub(super) const TEXT: &str = r"ARGUMENT_TEXT: /(?s:.*)\n<\/parameter>\n/ & ~/(?s:.*)\n<\/parameter>(?s:..+)/";

/// How a value is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Text,
    /// As it is, and `null` for null.
    TextOrNull,
    /// `true` or `false`, or as Python writes them.
    Flag,
    /// JSON.
    Json,
}

/// How the values of a tool's arguments are written, by name, in the order of its schema.
pub type Forms = Vec<(String, Form)>;

/// The grammar of a tool's arguments, and how they are read.
#[derive(Debug, Default)]
pub struct Elements {
    /// Rules of a Lark grammar.
    pub lark: String,
    /// Rules that are JSON: name, schema, and the JSON pointer to that within the tool's schema.
    pub schemas: Vec<(String, String, String)>,
    /// How values are written.
    pub forms: Forms,
}

impl Elements {
    /// The arguments that fit a schema, as `rule`.
    ///
    /// # Errors
    /// [`Error::UnsupportedSchema`] for what says more about the whole than which arguments there are and must be.
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

/// The elements of a call in an earlier turn, as published templates write them.
///
/// # Errors
/// [`Error::InvalidRequest`] for `arguments` that are no JSON object.
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

/// How a value that fits a schema is written, and what derives it and its end; nothing where it is JSON.
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
    // What says more of a text than which ones there are is held to as JSON, between quotation marks.
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

/// Of a schema that allows null beside one other the other, and whether it does.
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

/// What a schema refers to that says nothing itself.
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

/// Keywords beside a reference that say more than it does.
const KEYWORDS: [&str; 8] = ["type", "enum", "const", "properties", "required", "anyOf", "oneOf", "not"];

/// A schema within another as one of its own.
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

/// Refuses what says of the arguments as a whole what elements, one after another, are not held to.
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

/// Makes JSON of elements as they come.
#[derive(Debug, Clone, Default)]
pub(super) struct ElementReader {
    forms: Forms,
    /// The form of the value that is being read, and whether any of it has been told.
    value: Option<(Form, bool)>,
    /// Elements so far.
    count: usize,
    /// What cannot be told yet.
    held: String,
}

impl ElementReader {
    /// Of a tool whose values are written so.
    pub(super) fn new(forms: Forms) -> Self {
        Self { forms, ..Self::default() }
    }

    /// Takes text, and adds to `json` what is certain. Whether the arguments are whole.
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

    /// Reads a value; whether it has ended.
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

    /// What was held back of arguments that end too early.
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

/// Bytes of a value that what follows cannot make a part of its end.
fn certain(held: &str) -> usize {
    let begins_end = |len: &usize| CLOSE.get(..*len).is_some_and(|begin| held.ends_with(begin));
    held.len() - (0..CLOSE.len()).rev().find(begins_end).unwrap_or(0)
}
