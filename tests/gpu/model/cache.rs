//! The KV cache in every precision: effect of rounding on the logits.

use ocelli::config::KvPrecision;
use ocelli::layout::Layout;

use super::golden::cases;
use super::logits;
use crate::packages::{load_kv, pack};

fn rms(numbers: impl ExactSizeIterator<Item = f32>) -> f32 {
    let count = numbers.len() as f32;
    (numbers.map(|x| x * x).sum::<f32>() / count).sqrt()
}

/// Root mean square of the rounding error, relative to the numbers': half a step, uniformly distributed, divided by the root of 3. A 16-bit
/// float's half step is at most 2^-11 of itself; an integer's is 1/254 of the largest of its head, which for 32 to 128 numbers is about
/// three times their root mean square.
fn rounding(kv: KvPrecision) -> f32 {
    match kv {
        KvPrecision::F32 => 0.0,
        KvPrecision::F16 => 2.0_f32.powi(-11) / 3.0_f32.sqrt(),
        KvPrecision::Int8 => 3.0 / 254.0 / 3.0_f32.sqrt(),
    }
}

/// The error of a layer comes from its rounded values, and from the effect of its rounded keys on the weights of these. If the errors of
/// all layers had the same direction, and the residual stream contained nothing else, the error of the logits would be twice the rounding
/// for each layer.
fn rounding_shows_as_it_should(checkpoint: &str) {
    pollster::block_on(async {
        let files = pack(checkpoint, Layout::F32).await;
        let mut exact = load_kv(&files, 1024, KvPrecision::F32).await;
        for kv in [KvPrecision::F16, KvPrecision::Int8] {
            let mut engine = load_kv(&files, 1024, kv).await;
            let bound = 2.0 * engine.config().text().layers.len() as f32 * rounding(kv);
            for case in cases(checkpoint, "") {
                let wanted = logits(&mut exact, &case, usize::MAX).await;
                let found = logits(&mut engine, &case, usize::MAX).await;
                let off = rms(found.iter().zip(&wanted).map(|(f, w)| f - w)) / rms(wanted.iter().copied());
                println!("{checkpoint} {} {kv}: off by {off:.1e} of the logits, bound {bound:.1e}", case.name);
                assert!(off <= bound, "{checkpoint} {} {kv}: {off} of {bound}", case.name);
                assert!(off >= rounding(kv) / 2.0, "{checkpoint} {} {kv}: {off} is too good to be true", case.name);
            }
        }
    });
}

macro_rules! checkpoints {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            rounding_shows_as_it_should(stringify!($name));
        })*
    };
}

checkpoints!(tied_two_images, text_long, wide_heads, merge1);
