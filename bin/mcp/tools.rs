//! The tools: their names, arguments and descriptions for agents.

use std::any::Any;
use std::sync::Arc;

use ocelli::engine::Detail;
use rmcp::handler::server::common::schema_for_type;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Most pictures of a comparison.
pub(super) const MOST_PICTURES: usize = 8;

/// Size at which a picture is shown to the model.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Size {
    /// At most 512 pixels long: fast.
    Low,
    /// The largest size that the model supports: for small text and details.
    High,
    /// By the speed of the device.
    #[default]
    Auto,
}

impl From<Size> for Detail {
    fn from(size: Size) -> Self {
        match size {
            Size::Low => Self::Low,
            Size::High => Self::High,
            Size::Auto => Self::Auto,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Describe {
    /// The picture (PNG, JPEG, WebP, GIF, BMP, TIFF): a path below the folders of the server, a file: URL or a data: URL; or a page of a PDF
    /// document there, such as invoice.pdf#page=2.
    pub(super) image: String,
    /// A question about the picture. Without it the picture is described.
    pub(super) question: Option<String>,
    /// Size at which the model sees the picture.
    #[serde(default)]
    pub(super) detail: Size,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadText {
    /// The picture (PNG, JPEG, WebP, GIF, BMP, TIFF): a path below the folders of the server, a file: URL or a data: URL; or a page of a PDF
    /// document there, such as invoice.pdf#page=2.
    pub(super) image: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Extract {
    /// The picture (PNG, JPEG, WebP, GIF, BMP, TIFF): a path below the folders of the server, a file: URL or a data: URL; or a page of a PDF
    /// document there, such as invoice.pdf#page=2.
    pub(super) image: String,
    /// The JSON schema that the result must match; with descriptions of its fields it is understood better.
    pub(super) schema: Map<String, Value>,
    /// Instructions, if the names in the schema do not say enough.
    pub(super) instructions: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Compare {
    /// The pictures, in order: 2 to 8 paths below the folders of the server, file: URLs or data: URLs.
    #[schemars(length(min = 2, max = MOST_PICTURES))]
    pub(super) images: Vec<String>,
    /// A question about the pictures. Without it their differences are described.
    pub(super) question: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Find {
    /// The folder: a path below the folders of the server; "." is the first of them.
    pub(super) folder: String,
    /// A question about each picture that is answered with yes or no, such as "Is there a dog?".
    pub(super) question: String,
    /// Also look into the folders of the folder.
    #[serde(default)]
    pub(super) recursive: bool,
    /// Number of found pictures after which the search ends.
    #[schemars(range(min = 1))]
    pub(super) limit: Option<usize>,
}

/// Result of a search.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Findings {
    /// Pictures for which the answer begins with yes, by path.
    pub(super) found: Vec<Found>,
    /// Number of pictures that the model has looked at.
    pub(super) looked_at: usize,
    /// Number of pictures in the folder.
    pub(super) pictures: usize,
    /// Files of the folder that are no pictures.
    pub(super) skipped: usize,
    /// Pictures that could not be read.
    pub(super) failed: Vec<Failed>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct Found {
    /// Path of the picture, for other tools.
    pub(super) path: String,
    /// The model's answer to the question.
    pub(super) answer: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Failed {
    pub(super) path: String,
    pub(super) error: String,
}

pub(super) const DESCRIBE: &str = "describe";
pub(super) const READ_TEXT: &str = "read_text";
pub(super) const EXTRACT: &str = "extract";
pub(super) const COMPARE: &str = "compare";
pub(super) const FIND: &str = "find_in_folder";

/// A tool that changes nothing and reaches nothing outside this machine.
fn tool(name: &'static str, title: &str, about: &'static str, arguments: Arc<JsonObject>) -> Tool {
    let annotations = ToolAnnotations::with_title(title).read_only(true).open_world(false);
    Tool::new(name, about, arguments).with_title(title).with_annotations(annotations)
}

/// The schema of a type. The formats of numbers (`uint`) are left out, because clients warn of those that they do not know.
fn schema_of<T: JsonSchema + Any>() -> Arc<JsonObject> {
    fn without_formats(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, value| name != "format" || !value.is_string());
                fields.values_mut().for_each(without_formats);
            }
            Value::Array(values) => values.iter_mut().for_each(without_formats),
            _ => {}
        }
    }
    let mut schema = JsonObject::clone(&schema_for_type::<T>());
    schema.values_mut().for_each(without_formats);
    Arc::new(schema)
}

/// All tools.
pub(super) fn all() -> Vec<Tool> {
    vec![
        tool(
            DESCRIBE,
            "Describe a picture",
            "Describes a picture, or answers a question about it. The picture does not leave this machine.",
            schema_of::<Describe>(),
        ),
        tool(READ_TEXT, "Read text in a picture", "Transcribes the text in a picture.", schema_of::<ReadText>()),
        tool(
            EXTRACT,
            "Extract data from a picture",
            "Extracts data from a picture, such as a receipt, as JSON that always matches the given schema.",
            schema_of::<Extract>(),
        ),
        tool(
            COMPARE,
            "Compare pictures",
            "Compares 2 to 8 pictures, or answers a question about them together.",
            schema_of::<Compare>(),
        ),
        tool(
            FIND,
            "Find pictures in a folder",
            "Asks a question of yes or no about every picture in a folder, and returns the paths of those with yes. Takes seconds a picture.",
            schema_of::<Find>(),
        )
        .with_raw_output_schema(schema_of::<Findings>()),
    ]
}
