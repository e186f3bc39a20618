// Words of scales and of scales of those, in the types ScaleWords and SuperScales: of a tile, or of the planes, interleaved by four rows.
//: const TILED
//: when TILED
//: const SUPER_SCALES=1 BLOCKS_OF_SCALE=1
//: use tile_scales tile_super_scales

fn scale_words_of(group: u32, block: u32) -> ScaleWords {
  return scale_words[group];
}

fn super_scales_of(group: u32, block: u32) -> SuperScales {
  return super_words[group];
}

//: else

@group(0) @binding(next) var<storage, read> w_scales: array<ScaleWords>; // [rows / 4, blocks]
@group(0) @binding(next) var<storage, read> w_super_scales: array<SuperScales>; // [rows / 4, blocks / 8], an f16 times 1 / SUPER_UNIT each

fn scale_words_of(group: u32, block: u32) -> ScaleWords {
  return w_scales[group * p.blocks + block];
}

fn super_scales_of(group: u32, block: u32) -> SuperScales {
  return w_super_scales[group * (p.blocks >> 3u) + (block >> 3u)];
}

//: end
