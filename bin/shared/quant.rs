//! Options for the layouts of matrices.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use ocelli::import::layouts::{Layouts, Target};
use ocelli::layout::Layout;

/// Layouts of matrices.
#[derive(Args, Default)]
pub(crate) struct QuantArgs {
    /// Layout of the matrices [default: 4 bits]. For a GGUF file this concerns matrices of floats, which are kept by default (BF16 as f16);
    /// quantised ones are changed only by `compact` and with --requant.
    #[arg(long, value_parser = quant())]
    quant: Option<Layouts>,
    /// Layout of the vision half, if different: `q4_64`, `q4_0`, `q8_0`, `f16` or `f32`.
    #[arg(long, value_name = "LAYOUT", value_parser = layout)]
    vision_quant: Option<Layout>,
    /// Also change quantised matrices of a GGUF file, which rounds them a second time.
    #[arg(long)]
    requant: bool,
}

/// Choices with their help texts.
const QUANTS: [(&str, &str); 6] = [
    ("compact", "The whole text model as `q4_64`, even if quantised, and the vision half as in the file"),
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
    /// The chosen layouts, or `default`.
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
