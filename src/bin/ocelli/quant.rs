//! How matrices are stored, on the command line.

use clap::{Args, ValueEnum};
use ocelli::weights::layout::Layout;
use ocelli::weights::layouts::{Layouts, Target};

/// How matrices are stored.
#[derive(Args)]
pub(crate) struct QuantArgs {
    /// How the matrices are stored, by default in 4 bits. Of a GGUF file, how those are stored that it holds in floats, by default
    /// as they are (BF16 as f16); what it holds quantised is changed by `compact` and with --requant only.
    #[arg(long, value_enum)]
    quant: Option<Quant>,
    /// How those of the vision half are stored, where that is to differ: `q4_64`, `q4_0`, `q8_0`, `f16` or `f32`.
    #[arg(long, value_name = "LAYOUT", value_parser = layout)]
    vision_quant: Option<Layout>,
    /// Also change matrices that a GGUF file holds quantised, which rounds them a second time.
    #[arg(long)]
    requant: bool,
}

/// A layout, or a choice of layouts.
#[derive(Clone, Copy, ValueEnum)]
enum Quant {
    /// The whole text model as `q4_64`, whatever the file holds, and the vision half as the file has it.
    Compact,
    /// 4.25 bits a weight.
    #[value(name = "q4_64")]
    Q4_64,
    /// 4.5 bits a weight.
    #[value(name = "q4_0")]
    Q4_0,
    /// 8.5 bits a weight.
    #[value(name = "q8_0")]
    Q8_0,
    /// 16-bit floats.
    F16,
    /// 32-bit floats.
    F32,
}

impl Quant {
    fn layouts(self) -> Layouts {
        match self {
            Self::Compact => Layouts::COMPACT,
            Self::Q4_64 => Layout::Q4_64.into(),
            Self::Q4_0 => Layout::Q4_0.into(),
            Self::Q8_0 => Layout::Q8_0.into(),
            Self::F16 => Layout::F16.into(),
            Self::F32 => Layout::F32.into(),
        }
    }
}

fn layout(name: &str) -> Result<Layout, String> {
    let found = Layout::from_name(name).filter(|layout| Layout::FROM_NUMBERS.contains(layout));
    found.ok_or_else(|| format!("one of {}", Layout::FROM_NUMBERS.map(Layout::name).join(", ")))
}

impl QuantArgs {
    /// The layouts asked for, or else these.
    pub(crate) fn layouts(&self, default: impl Into<Layouts>) -> Layouts {
        let mut layouts = self.quant.map_or_else(|| default.into(), Quant::layouts);
        if let Some(layout) = self.vision_quant {
            layouts = layouts.with_vision(layout);
        }
        if self.requant {
            layouts = Layouts { text: everything(layouts.text), vision: everything(layouts.vision) };
        }
        layouts
    }
}

fn everything(target: Target) -> Target {
    match target {
        Target::Floats(layout) => Target::All(layout),
        other => other,
    }
}
