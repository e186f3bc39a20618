//! The cache of keys and values in every precision: what rounding does to the logits, and that growing does nothing to them.

use ocelli::config::KvPrecision;
use ocelli::engine::Engine;
use ocelli::gpu::{Gpu, Purpose};
use ocelli::state::{PAGE, State};
use ocelli::weights::layout::Layout;

use super::golden::{Case, cases};
use super::logits;
use crate::packages::{load_kv, load_on, pack};

fn rms(numbers: impl ExactSizeIterator<Item = f32>) -> f32 {
    let count = numbers.len() as f32;
    (numbers.map(|x| x * x).sum::<f32>() / count).sqrt()
}

/// Root mean square of what rounding takes from a number, relative to the numbers': half a step, evenly spread, divided by the root
/// of 3. A 16-bit float's half step is at most 2^-11 of itself; an integer's is 1/254 of the largest of its head, which of 32 to 128
/// numbers is about three times their root mean square.
fn rounding(kv: KvPrecision) -> f32 {
    match kv {
        KvPrecision::F32 => 0.0,
        KvPrecision::F16 => 2.0_f32.powi(-11) / 3.0_f32.sqrt(),
        KvPrecision::Int8 => 3.0 / 254.0 / 3.0_f32.sqrt(),
    }
}

/// A layer is off by its rounded values, and again by what its rounded keys do to the weights of these. Were all layers off in the
/// same direction, and were there nothing else in the residual stream, the logits would be off by twice the rounding a layer.
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

/// Bytes of the cache now, and the most there have been.
fn cache_bytes(gpu: &Gpu) -> (u64, u64) {
    let rows = gpu.ledger().rows();
    let row = rows.iter().find(|row| row.purpose == Purpose::KvCache).expect("a row for the cache");
    (row.current, row.peak)
}

/// A prompt over a page's border, in parts that make the cache grow between them, then once more with all room there.
#[test]
fn growing_changes_no_logit_and_takes_a_layer_at_a_time() {
    pollster::block_on(async {
        let files = pack("text_long", Layout::F32).await;
        let cases = cases("text_long", "");
        let case: &Case = cases.iter().find(|case| case.input_ids.len() > PAGE).expect("a long case");
        for kv in KvPrecision::ALL {
            let gpu = Gpu::open().await.expect("a device");
            let mut engine: Engine = load_on(&gpu, &files, 1024, Some(kv)).await;
            let (empty, _) = cache_bytes(&gpu);
            let layers = engine.config().text().layers.len() as u64;
            assert!(empty <= layers * 3 * 16, "an empty cache has {empty} bytes");
            let grown = logits(&mut engine, case, 100).await;
            let (held, peak) = cache_bytes(&gpu);
            let text = engine.config().text();
            assert_eq!(held, 2 * PAGE as u64 * State::entry_bytes(text, kv), "{kv}");
            // The last layer to move was there twice: with one page and with two.
            assert_eq!(peak, held + held / layers / 2, "{kv}");
            assert_eq!(logits(&mut engine, case, 100).await, grown, "{kv}");
            assert_eq!(cache_bytes(&gpu), (held, peak), "{kv}: nothing was left to grow");
        }
    });
}
