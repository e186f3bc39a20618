//! Snapshots of conversations, down to the parts of a state.

use ocelli::Result;
use ocelli::config::{ImageGrid, KvPrecision};
use ocelli::engine::snapshots::format::{HASH, Head, PREFIX, SizedAs, hashes, head_bytes, trailer};
use ocelli::engine::snapshots::rates::Rates;
use ocelli::engine::{ContextEntry, PastPass};
use ocelli::state::{Outline, Positions, Shape};
use ocelli_synth::published;

/// Small models: attention only, positions of pictures, recurrent layers, and keys and values of pictures.
const MODELS: [&str; 4] = ["ministral-3-3b", "qwen3-vl-2b", "qwen3.5-0.8b", "llama-3.2-11b-vision"];
/// Bytes of a recurrent state.
const PLACE: u64 = 96;

fn shape(model: usize) -> Shape {
    let mut config = published(MODELS[model]).expect("a shape");
    let text = &mut config.text_mut();
    // The fourth layer is of the rarer kind.
    text.layers.truncate(4);
    (text.num_key_value_heads, text.head_dim) = (1, 4);
    Shape::new(text, [KvPrecision::F16, KvPrecision::Int8][model % 2], PLACE)
}

/// A snapshot file, up to the state that it describes. Its identity begins with the number of the model.
///
/// # Errors
/// Errors of [`Head::parse`] and [`Shape::parts`].
pub fn snapshot(bytes: &[u8]) -> Result<()> {
    let file = bytes.len() as u64;
    let head_text = &bytes[..head_bytes(&bytes[..bytes.len().min(PREFIX)], file)? as usize];
    let head = Head::parse(head_text)?;
    let again = Head::parse(&head.to_bytes())?;
    assert_eq!(again, head, "written and read again");
    let shape = shape(usize::from(head.identity[0]) % MODELS.len());
    let parts = shape.parts(&head.outline, file)?;
    let total: u64 = parts.iter().map(|part| part.bytes).sum();
    assert_eq!(total, shape.bytes(&head.outline), "all of the state is in its parts");
    let seal = trailer(head_text, &vec![[0; HASH]; parts.len()]);
    assert_eq!(hashes(head_text, &seal).map(|hashes| hashes.len()), Ok(parts.len()));
    assert!(hashes(&head_text[1..], &seal).is_err(), "another head");

    let mut positions = Positions::default();
    head.outline.placed.iter().for_each(|(first, grid)| positions.place(*first, *grid));
    for to in [0, 1, head.entries.len() / 2, head.entries.len()] {
        let cut = head.outline.cut(to);
        assert!(cut.entries <= to && cut.cut(to) == cut);
        assert!(cut.entries == 0 || shape.parts(&cut, file).is_ok(), "{cut:?} of {:?}", head.outline);
        if to > 0 {
            let at = positions.of(to - 1);
            assert!(at.iter().all(|place| *place < head.entries.len()), "{at:?}");
        }
    }
    Ok(())
}

/// A valid file for each model.
pub fn tiny_snapshots() -> Vec<Vec<u8>> {
    (0..MODELS.len()).map(tiny_snapshot).collect()
}

fn tiny_snapshot(model: usize) -> Vec<u8> {
    let picture = |row| ContextEntry::Picture { fingerprint: [7; HASH], row };
    let mut entries: Vec<ContextEntry> = (0..6).map(ContextEntry::Token).collect();
    let shown_rows = if model == 3 { 20 } else { 0 };
    entries.extend((0..if model == 3 { 1 } else { 6 }).map(picture));
    entries.extend((10..14).map(ContextEntry::Token));
    let len = entries.len();
    let placed = if model == 1 { vec![(6, ImageGrid::new(2, 3))] } else { Vec::new() };
    let places = if model == 2 { vec![6, len] } else { Vec::new() };
    let shown = if model == 3 { vec![6] } else { Vec::new() };
    let outline = Outline { entries: len, placed, places, shown, shown_rows };
    let chunk = PastPass { first: 0, rows: len - 2, is_step: false };
    let steps = (len - 2..len).map(|first| PastPass { first, rows: 1, is_step: true });
    let (passes, sizes) = ([chunk].into_iter().chain(steps).collect(), vec![SizedAs { sizing: [9; HASH], edge: 448 }]);
    let identity = [model as u8; HASH];
    let head = Head { identity, rates: Rates::new([1.0, 2.0, 1e-6]), entries, sizes, outline, passes, branch: 6 };
    let (mut file, parts) = (head.to_bytes(), shape(model).parts(&head.outline, u64::MAX).expect("a state"));
    let end = trailer(&file, &vec![[0; HASH]; parts.len()]);
    file.extend(vec![3; parts.iter().map(|part| part.bytes as usize).sum()]);
    [file, end].concat()
}
