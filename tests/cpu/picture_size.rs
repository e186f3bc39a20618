//! Sizes of shown pictures: a pure function of picture, request, limits and the device's speed.

use std::cell::RefCell;

use crate::manifests;
use ocelli::config::{ImageGrid, PixelSize};
use ocelli::engine::{Detail, PictureLimits, Wanted, longest_edge};
use ocelli::families::{Pictures, definition};
use ocelli::gpu::{DryDevice, KernelConfig};
use ocelli::layout::Layout;
use ocelli::model::DryModel;

const NO_LIMITS: PictureLimits = PictureLimits { max_pixels: None, max_seconds: None };
/// Sizes of the published models: edges of up to 1540 pixels, cells of 28.
const FULL: usize = 1540;
const DETAILS: [Detail; 3] = [Detail::Low, Detail::High, Detail::Auto];

fn with_rules(test: impl FnOnce(&dyn Pictures)) {
    let config = manifests::ministral_3b();
    test(definition(&config).pictures().expect("a model that reads pictures"));
}

fn pixels(width: usize, height: usize) -> PixelSize {
    PixelSize { width, height }
}

fn wanted((width, height): (usize, usize), detail: Detail) -> Wanted {
    Wanted { size: pixels(width, height), detail, longest_edge: FULL, pictures: 1 }
}

/// A device that takes `per_1000` seconds for 1000 cells, and more than proportionally for more.
fn seconds(per_1000: f64) -> impl Fn(ImageGrid) -> ocelli::Result<Option<f64>> {
    move |grid| {
        let thousands = (grid.rows * grid.cols) as f64 / 1000.0;
        Ok(Some(per_1000 * (0.5 * thousands + 0.5 * thousands * thousands)))
    }
}

fn unknown(_: ImageGrid) -> ocelli::Result<Option<f64>> {
    Ok(None)
}

#[test]
fn low_is_512_pixels_long_and_high_is_full_whatever_the_device() {
    with_rules(|rules| {
        for seconds_per_1000 in [0.001, 1.0, 1e6] {
            let edge = |size, detail| {
                longest_edge(rules, wanted(size, detail), NO_LIMITS, seconds(seconds_per_1000)).expect("an edge")
            };
            for size in [(4000, 3000), (1540, 1540), (600, 500), (90, 5000), (20, 20)] {
                assert_eq!(edge(size, Detail::Low), 512);
                assert_eq!(edge(size, Detail::High), FULL);
            }
        }
        let low = rules.grid(pixels(4000, 3000), 512).expect("a grid");
        assert_eq!((low.cols, low.rows), (19, 14));
    });
}

#[test]
fn auto_is_the_largest_size_that_is_done_in_time() {
    with_rules(|rules| {
        let size = (4000, 3000);
        let mut before = FULL;
        for per_1000 in [0.01, 1.0, 3.0, 6.0, 10.0, 20.0, 40.0, 1e3, 1e9] {
            let cost = seconds(per_1000);
            let at = |edge: usize| {
                cost(rules.grid(pixels(4000, 3000), edge).expect("a grid")).expect("known").expect("known")
            };
            let edge = longest_edge(rules, wanted(size, Detail::Auto), NO_LIMITS, &cost).expect("an edge");
            assert!((512..=before).contains(&edge), "{edge} after {before}");
            assert!(edge == 512 || at(edge) <= 10.0, "{edge}: {} s", at(edge));
            assert!(edge == FULL || at(edge.next_multiple_of(28) + 28) > 10.0, "{edge}: there was time for more");
            before = edge;
        }
        assert_eq!(before, 512, "no smaller than low detail, however slow");
    });
}

#[test]
fn auto_is_full_where_nothing_is_known_or_the_picture_is_small_anyway() {
    with_rules(|rules| {
        let full = longest_edge(rules, wanted((4000, 3000), Detail::Auto), NO_LIMITS, unknown);
        assert_eq!(full.expect("an edge"), FULL);
        let asked = RefCell::new(Vec::new());
        let slow = |grid: ImageGrid| {
            asked.borrow_mut().push(grid);
            Ok(Some(0.01 * (grid.rows * grid.cols) as f64))
        };
        let edge = longest_edge(rules, wanted((560, 420), Detail::Auto), NO_LIMITS, slow).expect("an edge");
        assert_eq!(edge, FULL, "300 cells in 3 s");
        assert!(asked.borrow().iter().all(|grid| (grid.cols, grid.rows) == (20, 15)), "{asked:?}");
    });
}

#[test]
fn the_callers_limits_hold_and_make_auto_the_same_everywhere() {
    with_rules(|rules| {
        for size in [(4000, 3000), (3000, 4000), (1600, 1600), (300, 5000)] {
            for max_pixels in [1, 28 * 28, 100_000, 262_144, 1_000_000, 100_000_000] {
                let limits = PictureLimits { max_pixels: Some(max_pixels), max_seconds: None };
                let edges = [0.01, 1e6].map(|per_1000| {
                    DETAILS.map(|detail| {
                        longest_edge(rules, wanted(size, detail), limits, seconds(per_1000)).expect("an edge")
                    })
                });
                assert_eq!(edges[0], edges[1], "{size:?}, {max_pixels} pixels: whatever the device");
                let [low, high, auto] = edges[0];
                assert_eq!(high, auto);
                assert_eq!(low, high.min(512));
                let pixels = |edge: usize| {
                    let grid = rules.grid(pixels(size.0, size.1), edge).expect("a grid");
                    (grid.rows * grid.cols * 28 * 28) as u64
                };
                let least = pixels(28);
                assert!(pixels(high) <= max_pixels.max(least), "{size:?} at {high}, {max_pixels} pixels");
                assert!(high == FULL || pixels(high + 28) > max_pixels, "{size:?} at {high}: there was room for more");
            }
        }
    });
}

#[test]
fn seconds_are_shared_by_the_pictures_and_count_beside_a_limit_of_pixels() {
    with_rules(|rules| {
        let edge = |max_pixels, max_seconds, pictures| {
            let wanted = Wanted { pictures, ..wanted((4000, 4000), Detail::Auto) };
            longest_edge(rules, wanted, PictureLimits { max_pixels, max_seconds }, seconds(5.0)).expect("an edge")
        };
        let cells = |edge: usize| edge.div_ceil(28) * edge.div_ceil(28);
        let [default, ten, five, half] =
            [edge(None, None, 1), edge(None, Some(10.0), 1), edge(None, Some(5.0), 1), edge(None, Some(10.0), 2)];
        assert_eq!((default, five), (ten, half));
        assert!(five < ten && cells(five) == 31 * 31 && cells(ten) == 39 * 39, "{five} and {ten}");
        assert_eq!(edge(Some(600_000), Some(10.0), 1), 27 * 28, "600,000 pixels are 27 cells squared");
        assert_eq!(edge(Some(100_000_000), Some(5.0), 1), five);
        assert_eq!(edge(None, Some(f64::INFINITY), 3), FULL);
    });
}

#[test]
fn memory_bounds_every_detail() {
    with_rules(|rules| {
        for (most, low) in [(1288, 512), (400, 400), (27, 27)] {
            let edges = DETAILS.map(|detail| {
                let wanted = Wanted { longest_edge: most, ..wanted((4000, 3000), detail) };
                longest_edge(rules, wanted, NO_LIMITS, unknown).expect("an edge")
            });
            assert_eq!(edges, [low, most, most]);
        }
    });
}

/// 24 layers of 1024 wide over 5476 patches, then 26 of 3072 over 1406 tokens.
#[test]
fn a_picture_costs_its_tower_and_its_tokens() {
    let manifest = manifests::manifest(manifests::ministral_3b(), Layout::Q4_0, Layout::Q4_0);
    let mut dry = DryModel::new(&manifest, DryDevice::new(u64::MAX, 8), KernelConfig::default()).expect("a model");
    let grid = ImageGrid::new(37, 37);
    let mut flops = |tokens: usize, rows| dry.picture_flops((grid, tokens), rows).expect("recordings") as f64 / 1e12;
    let tower = flops(0, (1024, 256));
    let products = 2.0 * 5476.0 * f64::from(4 * 1024 * 1024 + 3 * 1024 * 4096);
    let expected = 24.0 * (products + 4.0 * 5476.0 * 5476.0 * 1024.0) / 1e12;
    assert!((tower / expected - 1.0).abs() < 0.02, "{tower} TFLOP, {expected} in the layers");
    let both = flops(37 * 38, (1024, 256));
    assert!((8.0..9.0).contains(&(both - tower)), "{both} with a prompt");
    let in_small_steps = flops(37 * 38, (64, 32));
    assert!((in_small_steps / both - 1.0).abs() < 0.02, "{in_small_steps} and {both}");
}
