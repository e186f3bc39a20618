//! How matrices are stored, on the command line.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use ocelli::import::layouts::{Layouts, Target};
use ocelli::layout::Layout;

/// How matrices are stored.
#[derive(Args)]
pub(crate) struct QuantArgs {
    /// How the matrices are stored, by default in 4 bits. Of a GGUF file, how those are stored that it holds in floats, by default
    /// as they are (BF16 as f16); what it holds quantised is changed by `compact` and with --requant only.
    #[arg(long, value_parser = quant())]
    quant: Option<Layouts>,
    /// How those of the vision half are stored, where that is to differ: `q4_64`, `q4_0`, `q8_0`, `f16` or `f32`.
    #[arg(long, value_name = "LAYOUT", value_parser = layout)]
    vision_quant: Option<Layout>,
    /// Also change matrices that a GGUF file holds quantised, which rounds them a second time.
    #[arg(long)]
    requant: bool,
}

/// A layout, or a choice of layouts, with what the help says of it.
const QUANTS: [(&str, &str); 6] = [
    ("compact", "The whole text model as `q4_64`, whatever the file holds, and the vision half as the file has it"),
    ("q4_64", "4.25 bits a weight"),
    ("q4_0", "4.5 bits a weight"),
    ("q8_0", "8.5 bits a weight"),
    ("f16", "16-bit floats"),
    ("f32", "32-bit floats"),
];

fn quant() -> impl TypedValueParser<Value = Layouts> {
    let values = QUANTS.map(|(name, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(values).try_map(|name| match name.as_str() {
        "compact" => Ok(Layouts::COMPACT),
        name => layout(name).map(Layouts::from),
    })
}

fn layout(name: &str) -> Result<Layout, String> {
    let found = Layout::from_numbers().find(|layout| layout.name() == name);
    found.ok_or_else(|| format!("one of {}", Layout::from_numbers().map(Layout::name).collect::<Vec<_>>().join(", ")))
}

impl QuantArgs {
    /// The layouts asked for, or else these.
    pub(crate) fn layouts(&self, default: impl Into<Layouts>) -> Layouts {
        let mut layouts = self.quant.unwrap_or_else(|| default.into());
        if let Some(layout) = self.vision_quant {
            layouts = layouts.with_vision(layout);
        }
        for target in [&mut layouts.text, &mut layouts.vision].into_iter().filter(|_| self.requant) {
            if let Target::Floats(layout) = *target {
                *target = Target::All(layout);
            }
        }
        layouts
    }
}
