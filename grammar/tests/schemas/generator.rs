//! Schemas by chance.

use serde_json::{Map, Value, json};

use super::vocabulary::Dice;

fn pick<T: Clone>(dice: &mut Dice, among: &[T]) -> T {
    among[dice.below(among.len())].clone()
}

/// A schema of at most `depth` levels that combines others in every way, with definitions that they refer to.
pub(crate) fn combined(dice: &mut Dice) -> Value {
    let mut root = combination(dice, 2);
    if let Value::Object(map) = &mut root {
        let tree = json!({ "type": "object", "properties": { "v": number(dice), "next": { "$ref": "#/$defs/tree" } }, "required": ["v"] });
        map.insert("$defs".into(), json!({ "word": string(dice), "tree": tree, "more": related_object(dice, 1) }));
    }
    root
}

/// Keywords of all kinds, side by side.
fn combination(dice: &mut Dice, depth: usize) -> Value {
    let mut map = Map::new();
    let add = |map: &mut Map<String, Value>, schema: Value| {
        if let Value::Object(keywords) = schema {
            map.extend(keywords);
        }
    };
    for _ in 0..1 + dice.below(2) {
        match dice.below(6) {
            0 => add(&mut map, number(dice)),
            1 => add(&mut map, string(dice)),
            2 if depth > 0 => add(&mut map, array(dice, depth - 1)),
            3 | 4 if depth > 0 => add(&mut map, related_object(dice, depth - 1)),
            5 if dice.chance(40) => {
                add(&mut map, json!({ "enum": (0..1 + dice.below(5)).map(|_| literal(dice)).collect::<Vec<_>>() }));
            }
            _ => add(&mut map, json!({ "$ref": pick(dice, &["#/$defs/word", "#/$defs/tree", "#/$defs/more"]) })),
        }
    }
    if dice.chance(40) {
        let kind = json!(pick(dice, &["object", "array", "string", "number", "integer"]));
        map.insert("type".into(), if dice.chance(30) { json!([kind, "null"]) } else { kind });
    } else if dice.chance(50) {
        map.remove("type");
    }
    let inner = |dice: &mut Dice| if depth > 0 { combination(dice, depth - 1) } else { schema(dice, 0) };
    for keyword in ["allOf", "anyOf", "oneOf"] {
        if dice.chance(25) {
            map.insert(keyword.into(), (0..1 + dice.below(3)).map(|_| inner(dice)).collect());
        }
    }
    if dice.chance(20) {
        map.insert("not".into(), inner(dice));
    }
    if dice.chance(20) {
        map.extend([("if".to_owned(), inner(dice)), ("then".into(), inner(dice))]);
        if dice.chance(50) {
            map.insert("else".into(), inner(dice));
        }
    }
    Value::Object(map)
}

/// An object whose properties depend on each other.
fn related_object(dice: &mut Dice, depth: usize) -> Value {
    let Value::Object(mut map) = object(dice, depth) else { return json!({}) };
    let names = ["name", "age", "x", "type", "z_1", "other"];
    let keywords = [
        ("dependentRequired", json!({ pick(dice, &names): [pick(dice, &names)] })),
        ("dependentSchemas", json!({ pick(dice, &names): object(dice, 0) })),
        (
            "propertyNames",
            pick(dice, &[json!({ "maxLength": 4 }), json!({ "pattern": "^[a-z]" }), json!({ "enum": names })]),
        ),
        ("minProperties", json!(dice.below(3))),
        ("maxProperties", json!(1 + dice.below(4))),
        ("unevaluatedProperties", pick(dice, &[json!(false), json!({ "type": "integer" })])),
        ("required", json!([pick(dice, &names)])),
    ];
    for (keyword, value) in keywords {
        if dice.chance(20) {
            map.insert(keyword.into(), value);
        }
    }
    Value::Object(map)
}

/// A schema of at most `depth` levels.
pub(crate) fn schema(dice: &mut Dice, depth: usize) -> Value {
    let deeper = depth > 0;
    let mut schema = match dice.below(if deeper { 12 } else { 6 }) {
        0 => json!({ "type": "boolean" }),
        1 => number(dice),
        2 | 3 => string(dice),
        4 => json!({ "enum": (0..1 + dice.below(4)).map(|_| literal(dice)).collect::<Vec<_>>() }),
        5 => json!({ "const": literal(dice) }),
        6 => array(dice, depth - 1),
        7 => json!({ "anyOf": (0..1 + dice.below(3)).map(|_| schema(dice, depth - 1)).collect::<Vec<_>>() }),
        8 => one_of(dice, depth - 1),
        9 => {
            json!({ "type": pick(dice, &[json!(["string", "null"]), json!(["integer", "boolean"]), json!(["null", "array"])]) })
        }
        _ => object(dice, depth - 1),
    };
    if let (Value::Object(map), true) = (&mut schema, dice.chance(25)) {
        map.insert("description".into(), json!("said of it"));
        map.insert("x-unknown".into(), json!({ "not": "a schema" }));
    }
    schema
}

fn literal(dice: &mut Dice) -> Value {
    match dice.below(7) {
        0 => json!(dice.below(1000) as i64 - 500),
        1 => json!(dice.below(100) as f64 / 8.0),
        2 => json!(pick(dice, &["red", "a \"b\"", "é\n", "", "日本"])),
        3 => json!(dice.chance(50)),
        4 => Value::Null,
        5 => json!([1, "two"]),
        _ => json!({ "k": pick(dice, &["v", "w"]) }),
    }
}

fn number(dice: &mut Dice) -> Value {
    let mut map = Map::from_iter([("type".to_owned(), json!(pick(dice, &["number", "integer"])))]);
    let low = dice.below(200) as i64 - 100;
    for (keyword, value) in [
        ("minimum", json!(low)),
        ("maximum", json!(low + dice.below(300) as i64)),
        ("exclusiveMinimum", json!(low as f64 - 0.5)),
        ("exclusiveMaximum", json!(low + 300)),
        ("multipleOf", json!(1 + dice.below(12))),
    ] {
        if dice.chance(30) {
            map.insert(keyword.into(), value);
        }
    }
    Value::Object(map)
}

fn string(dice: &mut Dice) -> Value {
    let mut map = Map::from_iter([("type".to_owned(), json!("string"))]);
    match dice.below(5) {
        0 => {
            let least = dice.below(4);
            map.extend([
                ("minLength".to_owned(), json!(least)),
                ("maxLength".to_owned(), json!(least + dice.below(6))),
            ]);
        }
        1 => {
            let patterns = [
                r"^\d{3}-[a-z]+$",
                "^(foo|bar)?$",
                r"[A-Z].\w",
                r"^[^\s,]{1,5}$",
                r"^(?=.*\d).{2,6}$",
                r"^.$",
                r"a\.b|c$",
            ];
            map.insert("pattern".into(), json!(pick(dice, &patterns)));
        }
        2 => {
            let formats = [
                "date",
                "time",
                "date-time",
                "email",
                "ipv4",
                "ipv6",
                "uuid",
                "uri",
                "hostname",
                "duration",
                "made-up",
            ];
            map.insert("format".into(), json!(pick(dice, &formats)));
        }
        _ => {}
    }
    Value::Object(map)
}

fn array(dice: &mut Dice, depth: usize) -> Value {
    let mut map = Map::from_iter([("type".to_owned(), json!("array"))]);
    if dice.chance(80) {
        map.insert("items".into(), schema(dice, depth));
    }
    if dice.chance(30) {
        let items: Vec<Value> = (0..1 + dice.below(3)).map(|_| schema(dice, depth)).collect();
        map.insert("prefixItems".into(), json!(items));
    }
    if dice.chance(10) {
        map.insert("contains".into(), schema(dice, 0));
        if dice.chance(30) {
            map.extend([("minContains".to_owned(), json!(dice.below(2))), ("maxContains".to_owned(), json!(2))]);
        }
    }
    if dice.chance(50) {
        let least = dice.below(3);
        map.extend([("minItems".to_owned(), json!(least)), ("maxItems".to_owned(), json!(least + 1 + dice.below(3)))]);
    }
    Value::Object(map)
}

fn object(dice: &mut Dice, depth: usize) -> Value {
    let names = ["name", "age", "a \"quoted\" one", "ключ", "x", "items", "type"];
    let mut properties = Map::new();
    for _ in 0..dice.below(5) {
        properties.insert(pick(dice, &names).into(), schema(dice, depth));
    }
    let required: Vec<String> = properties.keys().filter(|_| dice.chance(60)).cloned().collect();
    let mut map =
        Map::from_iter([("type".to_owned(), json!("object")), ("properties".into(), Value::Object(properties))]);
    if dice.chance(70) {
        map.insert("required".into(), json!(required));
    }
    match dice.below(5) {
        0 => drop(map.insert("additionalProperties".into(), json!(false))),
        1 => drop(map.insert("additionalProperties".into(), schema(dice, 0))),
        2 => drop(map.insert("patternProperties".into(), json!({ "^z_": schema(dice, 0) }))),
        _ => {}
    }
    if dice.chance(10) {
        map.insert("maxProperties".into(), json!(required.len() + 1));
    }
    Value::Object(map)
}

/// Objects told apart by a property, or values of different types.
fn one_of(dice: &mut Dice, depth: usize) -> Value {
    if dice.chance(30) {
        return json!({ "oneOf": [{ "type": "string" }, { "type": "integer" }, schema(dice, depth)] });
    }
    let kinds = ["circle", "square", "line"];
    let one = |kind: &&str| json!({ "type": "object", "properties": { "kind": { "const": kind }, "size": schema(dice, depth) }, "required": ["kind"] });
    json!({ "oneOf": kinds.iter().map(one).collect::<Vec<_>>() })
}
