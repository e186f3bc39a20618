//! Parts of a conversation's state that are written to files.

use ocelli::config::KvPrecision;
use ocelli::state::{Held, Outline, PAGE, Shape};
use ocelli_synth::published;

#[test]
fn scales_of_entries_that_a_part_does_not_have_are_cleared_and_nothing_else() {
    let model = published("qwen3-vl-2b").expect("a shape");
    let config = model.text();
    let (heads, width) = (config.num_key_value_heads, config.head_dim);
    for (precision, has_scales) in [(KvPrecision::F32, false), (KvPrecision::F16, false), (KvPrecision::Int8, true)] {
        let shape = Shape::new(config, precision, 0);
        // A full page and a part of one.
        let outline = Outline { entries: PAGE + 3, ..Outline::default() };
        let parts = shape.parts(&outline, u64::MAX).expect("parts");
        assert_eq!(parts.len(), 2 * config.layers.len());
        for part in parts {
            let mut bytes = vec![7_u8; part.bytes as usize];
            shape.clear_unused(&part, &mut bytes);
            let Held::Entries { entries, .. } = &part.what else { panic!("{part:?}") };
            let rows = entries.len();
            let (values, scales) =
                if has_scales { bytes.split_at(2 * rows * heads * width) } else { (&bytes[..], &[][..]) };
            assert!(values.iter().all(|byte| *byte == 7), "{precision} {part:?}");
            assert_eq!(scales.len(), if has_scales { heads * PAGE * 4 } else { 0 });
            for head in scales.chunks(PAGE * 4) {
                let (own, others) = head.split_at(rows * 4);
                assert!(own.iter().all(|byte| *byte == 7) && others.iter().all(|byte| *byte == 0), "{part:?}");
            }
        }
    }
}
