//! Decoding against Pillow, resampling against torchvision, and hostile files.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use ocelli::Error;
use ocelli::families::Pictures;
use ocelli::families::mistral3::VisionConfig;
use ocelli::image::resize::bicubic_u8;
use ocelli::image::{ImageGrid, Rgb8, decode, fingerprint};
use ocelli_pictures::PictureError;
use ocelli_synth::published;
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde_json::Value;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FIXTURES}/{name}")).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn cases(key: &str) -> Vec<Value> {
    let all: Value = serde_json::from_slice(&fixture("images.json")).unwrap();
    all[key].as_array().unwrap().clone()
}

fn pair(value: &Value) -> (u32, u32) {
    (value[0].as_u64().unwrap() as u32, value[1].as_u64().unwrap() as u32)
}

fn vision(patch_size: usize, spatial_merge_size: usize) -> VisionConfig {
    let vision = published("ministral-3-3b").and_then(|config| config.vision().cloned()).expect("a tower");
    VisionConfig { patch_size, spatial_merge_size, ..vision }
}

/// Smooth in one direction, noisy in the other.
fn picture(width: u32, height: u32) -> Rgb8 {
    let value = |x: u32, y: u32, c: u32| (x * 7 + y % 97 * (y % 89) * 13 + c * 91 + (x * y * (c + 3)) % 23) as u8;
    let pixel = |y: u32, x: u32| (0..3).map(move |c| value(x, y, c));
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(y, x))).collect();
    Rgb8 { width, height, pixels }
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn invalid(bytes: &[u8]) -> String {
    match decode(bytes, 64) {
        Err(Error::InvalidImage { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_decode_as_pillow_reads_them() {
    let expected = fixture("images.safetensors");
    let expected = SafeTensors::deserialize(&expected).unwrap();
    let cases = cases("decode");
    assert!(cases.len() >= 24);
    for case in cases {
        let name = case["file"].as_str().unwrap();
        let rgb = decode(&fixture(name), 64).unwrap();
        assert_eq!((rgb.height, rgb.width), pair(&case["size"]), "{name}");
        let pixels = expected.tensor(case["tensor"].as_str().unwrap()).unwrap().data();
        let off: Vec<u32> = rgb.pixels.iter().zip(pixels).map(|(a, b)| u32::from(a.abs_diff(*b))).collect();
        assert_eq!(rgb.pixels.len(), pixels.len(), "{name}");
        let (most, mean) = (*off.iter().max().unwrap(), f64::from(off.iter().sum::<u32>()) / off.len() as f64);
        println!("{name}: most {most}, mean {mean:.4}");
        assert!(u64::from(most) <= case["max"].as_u64().unwrap(), "{name}: {most}");
        assert!(mean <= case["mean"].as_f64().unwrap(), "{name}: {mean}");
    }
}

#[test]
fn broken_files_are_refused_with_a_reason() {
    let cases = cases("broken");
    assert!(cases.len() >= 6);
    for case in cases {
        let name = case["file"].as_str().unwrap();
        let error = decode(&fixture(name), 64).expect_err(name);
        assert!(matches!(error, Error::InvalidImage { .. } | Error::ImageTooLarge { .. }), "{name}: {error:?}");
    }
    assert_eq!(invalid(b""), "the file is empty");
    assert_eq!(invalid(b"not a picture"), "not a PNG, JPEG, WebP, GIF, BMP or TIFF");
    assert!(invalid(b"qoif\x01\x00\x01\x00").contains("qoi is not supported"));
    let huge = Error::ImageTooLarge { width: 100_000, height: 100_000, limit_megapixels: 64 };
    assert_eq!(decode(&fixture("images/huge.png"), 64), Err(huge));
}

#[test]
fn files_cut_anywhere_are_refused() {
    for name in ["rgb.png", "rgb16.png", "baseline.jpg", "progressive.jpg", "lossy.webp", "lossless_alpha.webp"] {
        let whole = fixture(&format!("images/{name}"));
        // The last bytes of a PNG or a WebP may be a checksum or padding that no pixel needs.
        for end in (0..whole.len() - 16).step_by(7) {
            assert!(decode(&whole[..end], 64).is_err(), "{name} decodes from {end} of {} bytes", whole.len());
        }
    }
}

#[test]
fn the_size_limit_is_on_pixels() {
    let png = encoded(&DynamicImage::new_luma8(1250, 800), ImageFormat::Png);
    assert_eq!(decode(&png, 1).unwrap().pixels.len(), 3_000_000);
    let png = encoded(&DynamicImage::new_luma8(1251, 800), ImageFormat::Png);
    assert_eq!(decode(&png, 1), Err(Error::ImageTooLarge { width: 1251, height: 800, limit_megapixels: 1 }));
    assert_eq!(decode(&png, 0), Err(Error::ImageTooLarge { width: 1251, height: 800, limit_megapixels: 0 }));
}

/// Effect of each EXIF orientation on the corners of a picture: the place of the top left pixel.
#[test]
fn exif_orientations_turn_the_picture() {
    let turned = fixture("images/turned.jpg");
    let at = turned.windows(4).position(|w| w == b"Exif").unwrap();
    let tag = at + turned[at..].windows(2).position(|w| w == [0x01, 0x12] || w == [0x12, 0x01]).unwrap();
    let value = tag + turned[tag..tag + 12].iter().position(|&b| b == 6).unwrap();
    let upright = |orientation: u8| {
        let mut bytes = turned.clone();
        bytes[value] = orientation;
        decode(&bytes, 64).unwrap()
    };
    let first = upright(1);
    let (w, h) = (first.width, first.height);
    assert_eq!((w, h), (45, 32));
    let at = |p: &Rgb8, x: u32, y: u32| p.pixels[((y * p.width + x) * 3) as usize..][..3].to_vec();
    let corner = |x, y| at(&first, x, y);
    let (tl, tr, bl, br) = (corner(0, 0), corner(w - 1, 0), corner(0, h - 1), corner(w - 1, h - 1));
    // Orientation: where the stored top left, top right, bottom left and bottom right are shown.
    let shown = [
        (2, [&tr, &tl, &br, &bl]),
        (3, [&br, &bl, &tr, &tl]),
        (4, [&bl, &br, &tl, &tr]),
        (5, [&tl, &bl, &tr, &br]),
        (6, [&bl, &tl, &br, &tr]),
        (7, [&br, &tr, &bl, &tl]),
        (8, [&tr, &br, &tl, &bl]),
    ];
    for (orientation, corners) in shown {
        let p = upright(orientation);
        assert_eq!((p.width, p.height), if orientation < 5 { (w, h) } else { (h, w) }, "{orientation}");
        let (r, b) = (p.width - 1, p.height - 1);
        let found = [at(&p, 0, 0), at(&p, r, 0), at(&p, 0, b), at(&p, r, b)];
        assert_eq!(found.each_ref(), corners, "{orientation}");
    }
}

#[test]
fn transparency_is_composited_on_white() {
    let rgba = [10, 20, 30, 255, 10, 20, 30, 0, 100, 0, 255, 128, 0, 0, 0, 1];
    let expected = [10, 20, 30, 255, 255, 255, 177, 127, 255, 254, 254, 254];
    assert_eq!(Rgb8::from_rgba(2, 2, &rgba).unwrap().pixels, expected);
    let buffer = image::RgbaImage::from_raw(2, 2, rgba.to_vec()).unwrap();
    let png = encoded(&DynamicImage::ImageRgba8(buffer), ImageFormat::Png);
    assert_eq!(decode(&png, 1).unwrap().pixels, expected);
}

#[test]
fn wide_samples_keep_their_high_byte() {
    let grey = image::ImageBuffer::from_raw(2, 1, vec![0x12ffu16, 0xff00]).unwrap();
    let png = encoded(&DynamicImage::ImageLuma16(grey), ImageFormat::Png);
    assert_eq!(decode(&png, 1).unwrap().pixels, [0x12, 0x12, 0x12, 0xff, 0xff, 0xff]);
    let grey = image::ImageBuffer::from_raw(2, 1, vec![0x12ffu16, 0xffff, 0x8000, 0]).unwrap();
    let png = encoded(&DynamicImage::ImageLumaA16(grey), ImageFormat::Png);
    assert_eq!(decode(&png, 1).unwrap().pixels, [0x12, 0x12, 0x12, 255, 255, 255]);
}

#[test]
fn gif_bmp_and_tiff_are_read() {
    let pixels = vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 255, 255, 0];
    let rgb = DynamicImage::ImageRgb8(image::RgbImage::from_raw(3, 2, pixels.clone()).unwrap());
    let rgba = |image: &DynamicImage| DynamicImage::ImageRgba8(image.to_rgba8());
    for (image, format) in
        [(rgb.clone(), ImageFormat::Bmp), (rgb.clone(), ImageFormat::Tiff), (rgba(&rgb), ImageFormat::Gif)]
    {
        let bytes = encoded(&image, format);
        assert_eq!(ocelli_pictures::size(&bytes), Some((3, 2)), "{format:?}");
        assert_eq!(decode(&bytes, 1).unwrap(), Rgb8 { width: 3, height: 2, pixels: pixels.clone() }, "{format:?}");
        for length in 0..bytes.len() {
            // A shortened file is refused or shown in part; nothing panics.
            drop(decode(&bytes[..length], 1));
        }
    }
    let clear = image::RgbaImage::from_raw(2, 1, vec![0, 0, 0, 0, 9, 9, 9, 255]).unwrap();
    let gif = encoded(&DynamicImage::ImageRgba8(clear), ImageFormat::Gif);
    assert_eq!(decode(&gif, 1).unwrap().pixels, [255, 255, 255, 9, 9, 9]);
    let large = DynamicImage::ImageLuma8(image::GrayImage::new(2000, 1000));
    for format in [ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::Gif] {
        let large = if format == ImageFormat::Gif { rgba(&large) } else { large.clone() };
        let refused = decode(&encoded(&large, format), 1);
        assert!(matches!(refused, Err(Error::ImageTooLarge { width: 2000, height: 1000, .. })), "{format:?}");
    }
}

/// A frame larger than the screen takes no more memory than the screen allows.
#[test]
fn gif_frames_beyond_their_screen_are_bounded() {
    let mut gif = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0".to_vec();
    // A frame of 65,535 x 65,535 pixels, all of which are compressed to nothing.
    gif.extend([0xff, 0xff, 0xff, 0xff, 0, 2, 2, 0x4c, 1, 0, 0x3b]);
    assert_eq!(ocelli_pictures::size(&gif), Some((1, 1)));
    assert!(decode(&gif, 1).is_err());
}

/// A picture of one row that lies on its side: red above blue.
#[test]
fn tiff_files_are_turned_upright() {
    let mut tiff = b"II*\0\x08\0\0\0".to_vec();
    // Width, height, bits, compression, colours, data, orientation, samples, rows, bytes.
    let entries: [(u16, u16, u32, u32); 10] = [
        (256, 3, 1, 2),
        (257, 3, 1, 1),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8 + 2 + 10 * 12 + 4),
        (274, 3, 1, 6),
        (277, 3, 1, 1),
        (278, 3, 1, 1),
        (279, 4, 1, 2),
    ];
    tiff.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        tiff.extend(tag.to_le_bytes().into_iter().chain(kind.to_le_bytes()));
        tiff.extend(count.to_le_bytes().into_iter().chain(value.to_le_bytes()));
    }
    tiff.extend([0, 0, 0, 0, 10, 200]);
    assert_eq!(decode(&tiff, 1).unwrap(), Rgb8 { width: 1, height: 2, pixels: vec![10, 10, 10, 200, 200, 200] });
}

#[test]
fn pixels_that_do_not_fit_their_size_are_refused() {
    for (width, height, len) in [(2, 2, 15), (0, 2, 0), (2, 2, 0), (u32::MAX, u32::MAX, 4), (1, 1, 3)] {
        assert!(matches!(Rgb8::from_rgba(width, height, &vec![0; len]), Err(PictureError::InvalidImage { .. })));
    }
    for pixels in [vec![], vec![0; 11]] {
        let wrong = Rgb8 { width: 2, height: 2, pixels };
        assert!(matches!(vision(14, 2).prepare(&wrong, 1540), Err(Error::InvalidImage { .. })));
    }
}

#[test]
fn resampling_equals_torchvision() {
    let tensors = fixture("images.safetensors");
    let tensors = SafeTensors::deserialize(&tensors).unwrap();
    let cases = cases("resize");
    assert!(cases.len() >= 10);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let ((from_h, from_w), (to_h, to_w)) = (pair(&case["from"]), pair(&case["to"]));
        let pixels = tensors.tensor(&format!("resize.{name}.rgb")).unwrap().data().to_vec();
        let (edge, step) = (case["longest_edge"].as_u64().unwrap(), case["step"].as_u64().unwrap());
        let rules = vision(step as usize / 2, 2);
        let prepared = rules.prepare(&Rgb8 { width: from_w, height: from_h, pixels }, edge as usize).unwrap();
        assert_eq!((prepared.width, prepared.height), (to_w as usize, to_h as usize), "{name}");
        let step = step as usize;
        assert_eq!(prepared.grid, ImageGrid::new(to_h as usize / step, to_w as usize / step), "{name}");
        let expected = tensors.tensor(&format!("resize.{name}.resized")).unwrap();
        assert!(prepared.rgb == expected.data(), "{name} differs");
    }
}

#[test]
fn sizes_follow_the_rule() {
    let rules = vision(14, 2);
    let size = |width, height| {
        let p = rules.prepare(&Rgb8 { width, height, pixels: vec![9; (width * height * 3) as usize] }, 1540).unwrap();
        assert_eq!(p.rgb.len(), p.width * p.height * 3);
        assert!(p.rgb.iter().all(|&value| value == 9), "a flat picture stays flat");
        assert_eq!((p.width, p.height), (p.grid.cols * 28, p.grid.rows * 28));
        (p.width, p.height)
    };
    assert_eq!(size(1, 1), (28, 28));
    assert_eq!(size(28, 29), (28, 56));
    assert_eq!(size(100, 70), (112, 84));
    assert_eq!(size(1540, 1540), (1540, 1540));
    assert_eq!(size(1541, 10), (1540, 28));
    assert_eq!(size(2000, 1000), (1540, 784));
    // Too thin to keep a whole pixel: the reference would fail, one step is shown instead.
    assert_eq!(size(4000, 1), (1540, 28));
    assert_eq!(size(1, 4000), (28, 1540));
    assert_eq!(rules.tokens(ImageGrid::new(3, 4)).len(), 15);
    assert_eq!(rules.rows(ImageGrid::new(3, 4)), 12);
}

/// A million rows of one pixel would need 84 MB between the two passes if they were not streamed.
#[test]
fn a_very_tall_picture_is_streamed() {
    let tall = picture(1, 1_000_000);
    let prepared = vision(14, 2).prepare(&tall, 1540).unwrap();
    assert_eq!((prepared.width, prepared.height), (28, 1540));
}

/// The definition in floating point, one output value at a time.
fn bicubic_by_definition(src: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    let kernel = |t: f64| match t.abs() {
        t if t < 1.0 => (1.5 * t - 2.5) * t * t + 1.0,
        t if t < 2.0 => ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0,
        _ => 0.0,
    };
    let sample = |n_in: usize, n_out: usize, o: usize, at: &dyn Fn(usize) -> f64| {
        let scale = n_in as f64 / n_out as f64;
        let width = scale.max(1.0);
        let center = (o as f64 + 0.5) * scale;
        let weights: Vec<f64> = (0..n_in)
            .map(|x| {
                if (x as f64 + 0.5 - center).abs() < 2.0 * width {
                    kernel((x as f64 + 0.5 - center) / width)
                } else {
                    0.0
                }
            })
            .collect();
        let sum: f64 = weights.iter().enumerate().map(|(x, w)| w * at(x)).sum();
        (sum / weights.iter().sum::<f64>()).round().clamp(0.0, 255.0)
    };
    let mut out = Vec::new();
    for y in 0..to.1 {
        for x in 0..to.0 {
            for c in 0..3 {
                let row = |v: usize| sample(from.0, to.0, x, &|u| f64::from(src[(v * from.0 + u) * 3 + c]));
                out.push(sample(from.1, to.1, y, &row) as u8);
            }
        }
    }
    out
}

#[test]
fn resampling_follows_its_definition() {
    for (from, to) in
        [((5, 3), (28, 28)), ((40, 33), (28, 28)), ((61, 9), (28, 14)), ((9, 50), (9, 21)), ((50, 9), (21, 9))]
    {
        let src = picture(from.0 as u32, from.1 as u32).pixels;
        let found = bicubic_u8(&src, from, to);
        let expected = bicubic_by_definition(&src, from, to);
        assert_eq!(found.len(), expected.len());
        let most = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(most <= 1, "{from:?} -> {to:?}: {most} grey levels");
    }
}

#[test]
fn equal_pictures_have_equal_fingerprints() {
    let a = picture(6, 4);
    let mut other = a.clone();
    other.pixels[17] ^= 1;
    let turned = Rgb8 { width: 4, height: 6, pixels: a.pixels.clone() };
    assert_eq!(fingerprint(&a), fingerprint(&a.clone()));
    assert_ne!(fingerprint(&a), fingerprint(&other));
    assert_ne!(fingerprint(&a), fingerprint(&turned));
}

const SEEDS: [&str; 12] = [
    "rgba.png",
    "rgb16.png",
    "palette_clear.png",
    "bilevel.png",
    "grey_alpha.png",
    "baseline.jpg",
    "turned.jpg",
    "progressive.jpg",
    "grey.jpg",
    "lossy.webp",
    "lossless_alpha.webp",
    "lossy_alpha.webp",
];

proptest! {
    #![proptest_config(crate::fixed_cases(8000))]

    #[test]
    fn changed_files_never_panic(
        seed in prop::sample::select(&SEEDS[..]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) {
        let mut bytes = fixture(&format!("images/{seed}"));
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        match decode(&bytes, 4) {
            Ok(rgb) => prop_assert_eq!(rgb.pixels.len(), (rgb.width * rgb.height * 3) as usize),
            Err(error) => prop_assert!(["invalid-image", "image-too-large"].contains(&error.code())),
        }
    }

    #[test]
    fn garbage_never_panics(kind in 0usize..4, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let magic: [&[u8]; 4] = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\x40\0\0\0WEBPVP8 ", b""];
        prop_assert!(decode(&[magic[kind], &bytes[..]].concat(), 4).is_err());
    }
}
