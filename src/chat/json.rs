//! JSON in the format of training data.

use serde_json::Value;

/// A quoted string, as in JSON and Lark grammars.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The definition of a tool, or the arguments of a call, in the format of training data: one line, as written by Python's
/// `json.dumps(tool, ensure_ascii=False)`.
pub fn definition_line(tool: &Value) -> String {
    let mut line = String::new();
    write_spaced(tool, &mut line);
    line
}

/// JSON with a space after each comma and colon.
fn write_spaced(value: &Value, line: &mut String) {
    let between = |index: usize| if index > 0 { ", " } else { "" };
    match value {
        Value::Array(items) => {
            line.push('[');
            for (index, item) in items.iter().enumerate() {
                line.push_str(between(index));
                write_spaced(item, line);
            }
            line.push(']');
        }
        Value::Object(fields) => {
            line.push('{');
            for (index, (name, field)) in fields.iter().enumerate() {
                line.push_str(between(index));
                line.push_str(&quoted(name));
                line.push_str(": ");
                write_spaced(field, line);
            }
            line.push('}');
        }
        other => line.push_str(&other.to_string()),
    }
}
