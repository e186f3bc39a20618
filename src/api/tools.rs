//! The tools that an answer may call: `tools`, `tool_choice` and `parallel_tool_calls` of chats and responses.

use std::sync::Arc;

use serde_json::{Value, json};

use super::field::{Field, Fields};
use super::format::Wanted;
use super::messages::{Dialect, check_function, check_name};
use crate::chat::calls::Opening;
use crate::chat::{CallSyntax, Tokenizer, ToolForms, definition_line};
use crate::engine::CallOptions;
use crate::error::{Error, Result};
use crate::grammar::{Format, SchemaRule};

/// Limit of tools per request, as in the OpenAI API.
const MAX_TOOLS: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Function {
    name: String,
    /// Definition as the model sees it.
    definition: String,
    /// JSON schema of the arguments, and the JSON pointer to it in the request.
    parameters: (Value, String),
    /// True if `tool_choice` allows it.
    is_allowed: bool,
}

/// Tools that an answer may call, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    functions: Vec<Function>,
    /// True if the answer must call a tool.
    is_required: bool,
    /// True if it may call several.
    are_several: bool,
}

impl Tools {
    /// Reads the tools of a request; `None` if no tool may be called.
    pub(super) fn read(fields: &Fields<'_>, dialect: Dialect) -> Result<Option<Self>> {
        let mut functions: Vec<Function> = Vec::new();
        let tools = fields.get("tools");
        for tool in tools.iter().map(Field::array).collect::<Result<Vec<_>>>()?.into_iter().flatten() {
            let (function, name) = Function::read(&tool, dialect)?;
            if functions.iter().any(|other| other.name == function.name) {
                return Err(name.fault(format!("{:?} is the name of another tool too", function.name)));
            }
            functions.push(function);
        }
        if let Some(tools) = tools.filter(|_| functions.len() > MAX_TOOLS) {
            return Err(tools.fault(format!("has {} tools, at most {MAX_TOOLS} are supported", functions.len())));
        }
        let are_several = match dialect {
            Dialect::Message => true,
            _ => fields.get("parallel_tool_calls").is_none() || fields.flag("parallel_tool_calls")?,
        };
        let mut tools = Self { functions, is_required: false, are_several };
        let may_call = match fields.get("tool_choice") {
            Some(choice) if dialect == Dialect::Message => tools.choose_by_type(&choice)?,
            Some(choice) => tools.choose(&choice, dialect)?,
            None => true,
        };
        Ok((may_call && !tools.functions.is_empty()).then_some(tools))
    }

    /// Returns whether any tool may be called.
    fn choose(&mut self, choice: &Field<'_>, dialect: Dialect) -> Result<bool> {
        let may_call =
            if choice.value.is_string() { self.choose_mode(choice)? } else { self.choose_among(choice, dialect)? };
        match self.is_required && self.functions.is_empty() {
            true => Err(choice.fault("needs tools")),
            false => Ok(may_call),
        }
    }

    fn choose_mode(&mut self, mode: &Field<'_>) -> Result<bool> {
        self.is_required = match mode.str()? {
            "none" => return Ok(false),
            "auto" => false,
            "required" => true,
            other => return Err(mode.fault(format!("must be none, auto or required, not {other:?}"))),
        };
        Ok(true)
    }

    /// Chooses in the form of Anthropic's API. Returns whether any tool may be called.
    fn choose_by_type(&mut self, choice: &Field<'_>) -> Result<bool> {
        let fields = choice.object()?;
        fields.only(&["type", "name", "disable_parallel_tool_use"])?;
        self.are_several = !fields.flag("disable_parallel_tool_use")?;
        let kind = fields.need("type")?;
        match kind.str()? {
            "auto" => {}
            "none" => return Ok(false),
            "any" => self.is_required = true,
            "tool" => {
                let name = fields.need("name")?;
                self.functions.iter_mut().for_each(|function| function.is_allowed = false);
                self.allow(&name)?;
                self.is_required = true;
            }
            _ => return Err(kind.fault("must be auto, any, tool or none")),
        }
        match self.is_required && self.functions.is_empty() {
            true => Err(choice.fault("needs tools")),
            false => Ok(true),
        }
    }

    /// Chooses one function by name, or some of them. In chats the details are in an object with the name of the type.
    fn choose_among(&mut self, choice: &Field<'_>, dialect: Dialect) -> Result<bool> {
        let fields = choice.object()?;
        let kind = fields.need("type")?;
        let inner = |name: &str| match dialect {
            Dialect::Chat => fields.only(&["type", name]).and_then(|()| fields.need(name)?.object()),
            Dialect::Response | Dialect::Message => choice.object(),
        };
        match kind.str()? {
            "function" => {
                let name = inner("function")?.need("name")?;
                self.functions.iter_mut().for_each(|function| function.is_allowed = false);
                self.allow(&name)?;
                self.is_required = true;
                Ok(true)
            }
            "allowed_tools" => {
                let allowed = inner("allowed_tools")?;
                let may_call = self.choose_mode(&allowed.need("mode")?)?;
                self.functions.iter_mut().for_each(|function| function.is_allowed = false);
                for tool in allowed.need("tools")?.array()? {
                    let tool = tool.object()?;
                    check_function(&tool)?;
                    let tool = if dialect == Dialect::Chat { tool.need("function")?.object()? } else { tool };
                    self.allow(&tool.need("name")?)?;
                }
                Ok(may_call && self.functions.iter().any(|function| function.is_allowed))
            }
            _ => Err(kind.unsupported("must be function or allowed_tools")),
        }
    }

    fn allow(&mut self, name: &Field<'_>) -> Result<()> {
        let text = name.str()?;
        let found = self.functions.iter_mut().find(|function| function.name == text);
        found
            .map(|function| function.is_allowed = true)
            .ok_or_else(|| name.fault(format!("no tool is called {text:?}")))
    }

    pub(super) fn definitions(&self) -> Vec<String> {
        self.functions.iter().map(|function| function.definition.clone()).collect()
    }

    /// Grammar of answers that are tool calls or have the format `answer`, and options for parsing the calls.
    pub(super) fn wanted(
        &self,
        answer: Option<Wanted>,
        syntax: &CallSyntax,
        tokenizer: &Tokenizer,
    ) -> Result<(Wanted, CallOptions)> {
        let allowed: Vec<&Function> = self.functions.iter().filter(|function| function.is_allowed).collect();
        let opening = match (self.is_required, &answer) {
            (true, _) => Opening::AtOnce,
            (false, Some(_)) => Opening::OrAnswer,
            (false, None) => Opening::Begun,
        };
        if opening == Opening::OrAnswer && syntax.begin().is_none() {
            let reason = "beside tools no format is supported: this model's calls are JSON too".into();
            return Err(Error::UnsupportedOption { field: "response_format".into(), reason });
        }
        let names: Vec<&str> = allowed.iter().map(|function| function.name.as_str()).collect();
        let mut lark = syntax.grammar(&names, opening, self.are_several, tokenizer);
        let (mut schemas, mut forms) = (Vec::new(), ToolForms::new());
        for (index, function) in allowed.iter().enumerate() {
            let (schema, place) = &function.parameters;
            let arguments = syntax.arguments(index, schema).map_err(|error| within(error, place))?;
            lark += &arguments.lark;
            let rule = |(rule, schema, inner)| SchemaRule { rule, schema, place: format!("{place}{inner}") };
            schemas.extend(arguments.schemas.into_iter().map(rule));
            forms.insert(function.name.clone(), arguments.forms);
        }
        match answer.filter(|_| opening == Opening::OrAnswer) {
            Some(Wanted { format: Format::JsonSchema(schema), place, .. }) => {
                schemas.push(SchemaRule { rule: "answer".into(), schema, place });
            }
            Some(_) => {
                let reason = "beside tools only json_object and json_schema are supported";
                return Err(Error::UnsupportedOption { field: "response_format".into(), reason: reason.into() });
            }
            None => {}
        }
        let wanted = Wanted { format: Format::Rules { lark, schemas }, place: String::new(), in_prompt: false };
        let at_once = opening != Opening::Begun || syntax.begin().is_none();
        Ok((wanted, CallOptions { syntax: *syntax, forms: Arc::new(forms), at_once }))
    }
}

/// Requires that a tool is a function of the client.
fn check_kind(fields: &Fields<'_>, dialect: Dialect) -> Result<()> {
    match fields.get("type") {
        Some(kind) if dialect == Dialect::Message && kind.str()? != "custom" => {
            Err(kind.unsupported("only custom tools are supported"))
        }
        Some(_) if dialect == Dialect::Message => Ok(()),
        _ => check_function(fields),
    }
}

/// Requires that a tool is shown to the model at once, and that the model itself may call it.
fn check_use(fields: &Fields<'_>) -> Result<()> {
    if let Some(field) = fields.get("defer_loading").filter(|_| fields.flag("defer_loading").unwrap_or(true)) {
        return Err(field.unsupported("tools are always loaded"));
    }
    let Some(callers) = fields.get("allowed_callers") else { return Ok(()) };
    let has_direct = callers.array()?.any(|caller| caller.value == "direct");
    if has_direct { Ok(()) } else { Err(callers.unsupported("must contain \"direct\"")) }
}

/// Adds the schema's place in the request to an error.
fn within(error: Error, place: &str) -> Error {
    match error {
        Error::UnsupportedSchema { pointer, keyword, reason } => {
            Error::UnsupportedSchema { pointer: format!("{place}{pointer}"), keyword, reason }
        }
        other => other,
    }
}

impl Function {
    /// Reads a function; also returns the field of its name.
    fn read<'a>(tool: &Field<'a>, dialect: Dialect) -> Result<(Self, Field<'a>)> {
        let mut fields = tool.object()?;
        check_kind(&fields, dialect)?;
        if dialect == Dialect::Chat {
            fields.only(&["type", "function"])?;
            fields = fields.need("function")?.object()?;
        }
        let inert = ["strict", "output_schema", "defer_loading", "allowed_callers"];
        let own: &[&str] = match dialect {
            Dialect::Message => &["input_schema", "cache_control", "input_examples", "eager_input_streaming"],
            _ => &["parameters"],
        };
        fields.only(&[&["type", "name", "description"], own, &inert[..]].concat())?;
        // No effect: every schema is enforced.
        fields.flag("strict")?;
        check_use(&fields)?;
        let name = fields.need("name")?;
        check_name(&name)?;
        let description = fields.get("description").map(|text| text.str()).transpose()?;
        let nothing = json!({"type": "object", "properties": {}, "additionalProperties": false});
        let (parameters, place) = match fields.get(own[0]) {
            Some(schema) => (schema.object().map(|_| schema.value.clone())?, schema.pointer()),
            None => (nothing, tool.pointer()),
        };
        if let Some(kind) = parameters.get("type").filter(|kind| **kind != "object") {
            return Err(name.fault(format!("arguments are an object, the schema's type is {kind}")));
        }
        let mut function = serde_json::Map::from_iter([("name".to_owned(), name.value.clone())]);
        function.extend(description.map(|text| ("description".to_owned(), Value::from(text))));
        function.insert("parameters".into(), parameters.clone());
        let definition = definition_line(&json!({"type": "function", "function": function}));
        let function = Self { name: name.string()?, definition, parameters: (parameters, place), is_allowed: true };
        Ok((function, name))
    }
}
