//! Schemas by hand: what clients send, every keyword, what is refused, and what means harm.

use serde_json::{Value, json};

/// By zod 4.6 for its own types, in drafts 2020-12 and 7: written by `z.toJSONSchema`.
const ZOD: &str = include_str!("zod.jsonl");
/// Schemas of the corpus that cannot be enforced: those that nothing matches, Unicode properties, and fractional divisors.
const ZOD_REFUSED: [&str; 3] = ["zod never", "zod emoji", "zod pos"];

/// Schemas that are accepted, by name.
pub(crate) fn supported() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for line in ZOD.lines() {
        let Value::Object(mut entry) = serde_json::from_str(line).expect("JSON") else { panic!("{line}") };
        let name = entry["name"].as_str().expect("a name").to_owned();
        if !ZOD_REFUSED.iter().any(|refused| name.starts_with(refused)) {
            all.push((name, entry.remove("schema").expect("a schema").to_string()));
        }
    }
    all.extend(SUPPORTED.iter().enumerate().map(|(index, text)| (format!("supported {index}"), (*text).to_owned())));
    all
}

const SUPPORTED: [&str; 75] = [
    r##"{"type": "object"}"##,
    r##"{}"##,
    "true",
    r##"{"type": "object", "properties": {"zeta": {"type": "string"}, "alpha": {"type": "integer"}}, "required": ["zeta", "alpha"]}"##,
    r##"{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {"a": {"type": "number"}}, "additionalProperties": false}"##,
    r##"{"type": "object", "properties": {"tree": {"$ref": "#/$defs/node"}}, "$defs": {"node": {"type": "object", "properties": {"left": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}, "required": ["left"]}}}"##,
    r##"{"$ref": "#/definitions/a~1b%20c", "definitions": {"a/b c": {"type": "boolean"}}}"##,
    r##"{"$id": "https://example.com/root", "$ref": "https://example.com/root#/$defs/x", "$defs": {"x": {"type": "integer", "minimum": 3}}}"##,
    r##"{"$ref": "#here", "$defs": {"x": {"$anchor": "here", "type": "null"}}}"##,
    r##"{"type": "object", "properties": {"next": {"$ref": "#", "description": "the next one"}}}"##,
    r##"{"type": "string", "uniqueItems": false, "nullable": false, "format": "nanoid"}"##,
    r##"{"type": "array", "items": {"type": "integer"}, "uniqueItems": false, "minItems": 2.0, "maxItems": 4}"##,
    r##"{"type": "array", "uniqueItems": true, "maxItems": 1}"##,
    r##"{"type": "array", "contains": {"type": "string"}, "minContains": 0}"##,
    r##"{"type": "array", "prefixItems": [{"const": 1}, {"const": "b"}], "items": false}"##,
    r##"{"$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "items": [{"const": 1}, {"type": "string"}], "additionalItems": false, "minItems": 2}"##,
    r##"{"type": "array", "prefixItems": [{"type": "null"}], "unevaluatedItems": false}"##,
    r##"{"type": "integer", "exclusiveMinimum": 0, "maximum": 10}"##,
    r##"{"type": "integer", "multipleOf": 7}"##,
    r##"{"type": "number", "minimum": -1.5, "exclusiveMaximum": 2.25}"##,
    r##"{"type": "number", "minimum": 0}"##,
    r##"{"type": "number", "maximum": 1e300}"##,
    r##"{"type": ["number", "integer", "null"]}"##,
    r##"{"type": "string", "minLength": 2, "maxLength": 3}"##,
    r##"{"type": "string", "maxLength": 100000}"##,
    r##"{"type": "string", "pattern": "^\\]$|^[\\]\\[]+$", "maxLength": 4, "description": "escapes"}"##,
    r##"{"type": "string", "pattern": "^[\\w.+-]+@[\\w-]+\\.\\w{2,}$", "maxLength": 30}"##,
    r##"{"type": "string", "pattern": "^(?=.*[A-Z])(?=.*\\d)\\w{4,8}$"}"##,
    r##"{"type": "string", "pattern": "^.+$", "maxLength": 5}"##,
    r##"{"type": "string", "pattern": "^\\s\\S$"}"##,
    r##"{"type": "string", "format": "date"}"##,
    r##"{"type": "string", "format": "date-time"}"##,
    r##"{"type": "string", "format": "time"}"##,
    r##"{"type": "string", "format": "duration"}"##,
    r##"{"type": "string", "format": "email"}"##,
    r##"{"type": "string", "format": "hostname"}"##,
    r##"{"type": "string", "format": "ipv4"}"##,
    r##"{"type": "string", "format": "ipv6"}"##,
    r##"{"type": "string", "format": "uri"}"##,
    r##"{"type": "string", "format": "uuid"}"##,
    r##"{"type": "string", "format": "json-pointer"}"##,
    r##"{"enum": ["a", 1, 1.5, null, true, [1, {"x": "y"}], {"k": []}]}"##,
    r##"{"type": "string", "enum": ["a", 1, "b"]}"##,
    r##"{"const": "tab\tquote\"back\\slash\b"}"##,
    r##"{"type": "object", "propertyNames": {"pattern": "^[a-z]{1,3}$"}, "additionalProperties": {"type": "integer"}}"##,
    r##"{"type": "object", "patternProperties": {"^x_": {"type": "integer"}, "^y_": {"type": "string"}}, "additionalProperties": false}"##,
    r##"{"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}}"##,
    r##"{"type": "object", "properties": {"a": {}, "b": {}}, "minProperties": 1, "additionalProperties": false}"##,
    r##"{"type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 1, "maxProperties": 3}"##,
    r##"{"type": "object", "properties": {"a": true, "b": false}, "required": ["a"]}"##,
    r##"{"type": "object", "required": ["card", "name"], "dependentRequired": {"card": ["address"]}, "properties": {"card": {"type": "integer"}, "name": {"type": "string"}, "address": {"type": "string"}}}"##,
    r##"{"type": "object", "properties": {"a": {"type": "integer"}}, "unevaluatedProperties": false}"##,
    r##"{"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]}]}"##,
    r##"{"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 5}]}"##,
    r##"{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}"##,
    r##"{"oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "object", "properties": {"x": {"type": "null"}}}]}"##,
    r##"{"oneOf": [{"$ref": "#/$defs/cat"}, {"$ref": "#/$defs/dog"}], "discriminator": {"propertyName": "kind"}, "$defs": {"cat": {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}, "required": ["kind"], "additionalProperties": false}, "dog": {"type": "object", "properties": {"kind": {"enum": ["dog", "wolf"]}}, "required": ["kind"], "additionalProperties": false}}}"##,
    r##"{"oneOf": [{"type": "integer", "maximum": 3}, {"type": "integer", "minimum": 10}]}"##,
    r##"{"anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}}, {"type": "array", "items": {"type": "string"}}]}"##,
    r##"{"type": "object", "properties": {"if": {"type": "boolean"}, "not": {"type": "string"}, "$ref": {"type": "integer"}}, "required": ["if", "not", "$ref"]}"##,
    r##"{"type": "string", "if": {"minLength": 3}, "not": false}"##,
    r##"{"properties": {"a": {"minimum": 3}}, "required": ["a"]}"##,
    r##"{"properties": {"a/b": {"not": {"type": "string"}}}}"##,
    r##"{"items": {"if": {"type": "string"}, "then": {"minLength": 1}}}"##,
    r##"{"type": "array", "contains": {"type": "string"}}"##,
    r##"{"type": "array", "items": {"type": ["string", "integer"]}, "contains": {"type": "string"}, "minContains": 2, "maxContains": 3, "maxItems": 5}"##,
    r##"{"type": "object", "dependentRequired": {"a": ["b"]}, "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}"##,
    r##"{"type": "object", "dependentSchemas": {"a": {"required": ["b"]}}, "properties": {"a": {"type": "null"}}}"##,
    r##"{"type": "string", "not": {"enum": ["", "a", "ab", "b"]}, "maxLength": 3}"##,
    r##"{"type": "integer", "not": {"const": 3}, "minimum": 1, "maximum": 5}"##,
    r##"{"type": "object", "properties": {"kind": {"enum": ["a", "b"]}, "n": {"type": "integer"}}, "required": ["kind"], "if": {"properties": {"kind": {"const": "a"}}}, "then": {"required": ["n"]}, "else": {"properties": {"n": false}}}"##,
    r##"{"oneOf": [{"type": "integer", "maximum": 10}, {"type": "integer", "minimum": 5, "maximum": 20}]}"##,
    r##"{"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "minProperties": 2, "maxProperties": 2}"##,
    r##"{"allOf": [{"$ref": "#/$defs/base"}, {"properties": {"b": {"type": "null"}}}], "unevaluatedProperties": false, "$defs": {"base": {"type": "object", "properties": {"a": {"type": "boolean"}, "c": {"$ref": "#/$defs/base"}}}}}"##,
    r##"{"type": "object", "properties": {"a": {"type": "integer"}}, "propertyNames": {"maxLength": 3}, "additionalProperties": {"type": "null"}}"##,
];

/// Schemas that are refused, the pointer and the keyword.
pub(crate) const REFUSED: [(&str, &str, &str); 29] = [
    ("no JSON", "", ""),
    ("[]", "", ""),
    ("false", "", ""),
    (r##"{"properties": {"a/b": {"type": "string", "not": {"pattern": "x"}}}}"##, "/properties/a~1b", "not"),
    (r##"{"items": {"type": "array", "contains": {"type": "string"}, "minContains": 90}}"##, "/items", "contains"),
    (r##"{"allOf": [{"multipleOf": 700}, {"multipleOf": 999}]}"##, "", "multipleOf"),
    (r##"{"not": {}}"##, "", ""),
    (r##"{"type": "strnig"}"##, "", "type"),
    (r##"{"properties": {"a": {"type": "array", "uniqueItems": true}}}"##, "/properties/a", "uniqueItems"),
    (r##"{"anyOf": [{"type": "string"}, {"type": "string", "pattern": "\\bword"}]}"##, "/anyOf/1", "pattern"),
    (r##"{"type": "string", "pattern": "^(?!x)"}"##, "", "pattern"),
    (r##"{"type": "string", "pattern": "(a)\\1"}"##, "", "pattern"),
    (
        r##"{"oneOf": [{"type": "object", "properties": {"a": {}}}, {"type": "object", "properties": {"b": {}}}]}"##,
        "",
        "oneOf",
    ),
    (r##"{"oneOf": [{"type": "number"}, {"type": "integer"}]}"##, "", "oneOf"),
    (r##"{"type": "number", "multipleOf": 0.01}"##, "", "multipleOf"),
    (r##"{"type": "string", "nullable": true}"##, "", "nullable"),
    (r##"{"type": "object", "minProperties": 3}"##, "", "minProperties"),
    (r##"{"$ref": "https://example.com/other.json"}"##, "", "$ref"),
    (r##"{"$ref": "#/$defs/missing"}"##, "", "$ref"),
    (r##"{"$dynamicRef": "#node"}"##, "", "$dynamicRef"),
    (r##"{"const": ["bell \u0007"]}"##, "", "const"),
    (r##"{"enum": []}"##, "", "enum"),
    (r##"{"type": "string", "enum": [1]}"##, "", "enum"),
    (r##"{"type": "string", "minLength": 5, "maxLength": 2}"##, "", "minLength"),
    (r##"{"type": "object", "required": ["a"], "properties": {}, "additionalProperties": false}"##, "", "required"),
    (r##"{"type": "integer", "minimum": 1e30}"##, "", "minimum"),
    (r##"{"anyOf": []}"##, "", "anyOf"),
    (r##"{"allOf": [{"$ref": "x"}], "unevaluatedProperties": false}"##, "/allOf/0", "$ref"),
    (
        r##"{"properties": {"a": {"allOf": [{"type": "string"}, {"type": "integer"}]}}, "required": ["a"]}"##,
        "/properties/a",
        "allOf",
    ),
];

/// Regular expressions that explode.
pub(crate) const BOMBS: [&str; 6] = [
    "((a{1000}){1000}){1000}",
    "(a{1000}){1000}",
    "((a|b)*a(a|b){200})",
    "(x+x+)+y",
    "(.{0,500}a){0,500}b",
    "[a-z]{1,1000}[0-9]{1,1000}([a-z0-9]{3,900}){5,90}",
];

fn deep(depth: usize) -> Value {
    (0..depth).fold(json!({ "type": "null" }), |inner, _| json!({ "type": "array", "items": inner }))
}

/// Schemas that mean harm, by name.
pub(crate) fn hostile() -> Vec<(String, String)> {
    let wide = |count: usize| {
        let names = (0..count).map(|index| (format!("property_{index}"), json!({ "type": "string" })));
        json!({ "type": "object", "properties": Value::Object(names.collect()) })
    };
    let doubling = |levels: usize| {
        let definitions = (0..levels).map(|level| {
            let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
            (format!("d{level}"), json!({ "allOf": [next.clone(), next] }))
        });
        let mut all: serde_json::Map<String, Value> = definitions.collect();
        all.insert(format!("d{levels}"), json!({ "type": "object", "properties": { "x": { "type": "integer" } } }));
        json!({ "$ref": "#/$defs/d0", "$defs": all })
    };
    let chain = |count: usize| {
        let one = |index: usize| {
            (
                format!("d{index}"),
                json!({ "type": "object", "properties": { "a": { "$ref": format!("#/$defs/d{}", (index + 1) % count) } } }),
            )
        };
        json!({ "$ref": "#/$defs/d0", "$defs": (0..count).map(one).collect::<serde_json::Map<_, _>>() })
    };
    let alternatives = |count: usize| {
        let one = |index: usize| json!({ "type": "object", "properties": { "a": { "const": index }, "b": { "pattern": format!("^[a-z]{{1,{}}}{index}$", 20 + index) } } });
        json!({ "anyOf": (0..count).map(one).collect::<Vec<_>>() })
    };
    let crossed = json!({ "allOf": (0..8).map(|index| json!({ "anyOf": (0..8).map(|other| json!({ "properties": { format!("p{index}"): { "const": other } } })).collect::<Vec<_>>() })).collect::<Vec<_>>() });
    let mut all = vec![
        ("deep 60".into(), deep(60).to_string()),
        ("deep 1000".into(), deep(1000).to_string()),
        ("brackets".into(), "[".repeat(100_000)),
        ("wide 2000".into(), wide(2000).to_string()),
        ("wide 15000".into(), wide(15_000).to_string()),
        ("doubling 12".into(), doubling(12).to_string()),
        ("doubling 40".into(), doubling(40).to_string()),
        ("chain 450".into(), chain(450).to_string()),
        ("chain 9000".into(), chain(9000).to_string()),
        ("negations".into(), json!({ "not": deep(30) }).to_string()),
        ("alternatives 400".into(), alternatives(400).to_string()),
        ("crossed".into(), crossed.to_string()),
        ("a circle of references".into(), r##"{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}"##.into()),
        ("itself".into(), r##"{"$ref": "#"}"##.into()),
        ("endless".into(), r##"{"type": "array", "items": {"$ref": "#"}, "minItems": 1}"##.into()),
        ("itself and more".into(), r##"{"allOf": [{"$ref": "#"}, {"type": "string"}]}"##.into()),
        ("a long enum".into(), json!({ "enum": (0..5000).map(|index| format!("value {index}")).collect::<Vec<_>>() }).to_string()),
        ("many items".into(), json!({ "type": "array", "items": { "type": "object", "properties": { "a": { "type": "string", "maxLength": 4096 } } }, "maxItems": 1_000_000 }).to_string()),
        ("nested counts".into(), json!({ "type": "array", "minItems": 4000, "items": { "type": "array", "minItems": 4000, "items": { "type": "array", "minItems": 4000 } } }).to_string()),
        ("large numbers".into(), json!({ "type": "number", "minimum": 1e-300, "maximum": 123_456.789_012_345_68, "multipleOf": 997 }).to_string()),
    ];
    all.extend(
        BOMBS.iter().map(|bomb| (format!("pattern {bomb}"), json!({ "type": "string", "pattern": bomb }).to_string())),
    );
    all
}
