//! Picture files to what the tower sees.

use ocelli::Result;
use ocelli::config::{Activation, RopePairs};
use ocelli::families::mistral3::VisionConfig;
use ocelli::image::{decode, fingerprint, normalise, prepare};

/// The limit given to the decoder: it bounds what a picture may take.
pub const LIMIT_MEGAPIXELS: u32 = 1;

const CONFIG: VisionConfig = VisionConfig {
    hidden_size: 4,
    intermediate_size: 4,
    num_hidden_layers: 1,
    num_attention_heads: 1,
    head_dim: 4,
    hidden_act: Activation::Silu,
    num_channels: 3,
    patch_size: 14,
    image_size: 112,
    rope_theta: 1e4,
    rope_pairs: RopePairs::Half,
    rms_norm_eps: 1e-5,
    spatial_merge_size: 2,
    projector_act: Activation::Gelu,
    projector_bias: false,
    image_mean: [0.5; 3],
    image_std: [0.25; 3],
    image_token_id: 10,
    image_break_token_id: 12,
    image_end_token_id: 13,
};

/// A PNG, JPEG or WebP file: decoded, told apart, resampled, cut into whole patches.
///
/// # Errors
/// As [`decode`].
pub fn picture(bytes: &[u8]) -> Result<()> {
    let rgb = decode(bytes, LIMIT_MEGAPIXELS)?;
    assert_eq!(rgb.pixels.len(), rgb.width as usize * rgb.height as usize * 3);
    assert_eq!(fingerprint(&rgb), fingerprint(&rgb.clone()));
    let prepared = prepare(&rgb, &CONFIG)?;
    let side = CONFIG.patch_size * CONFIG.spatial_merge_size;
    assert_eq!((prepared.width, prepared.height), (prepared.grid.cols * side, prepared.grid.rows * side));
    assert!(prepared.width.max(prepared.height) < CONFIG.image_size + side, "no larger than the model wants");
    assert_eq!(prepared.rgb.len(), prepared.width * prepared.height * 3);
    assert!(normalise(&prepared, &CONFIG).iter().all(|value| value.is_finite()));
    Ok(())
}
