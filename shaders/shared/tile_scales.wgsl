// The plane of scales, interleaved by four rows: 64 bytes serve SCALE_LANES * BLOCKS_OF_SCALE blocks.
//: const COLUMN_GROUPS THREADS SCALE_LANES SCALE_LOADS BLOCKS_OF_SCALE

@group(0) @binding(next) var<storage, read> w_scales: array<ScaleWords>; // [rows / 4, ceil(blocks / BLOCKS_OF_SCALE)]

var<workgroup> scale_words: array<ScaleWords, COLUMN_GROUPS>;
var<private> first_scales: u32; // of four rows
var<private> held_scales$i: ScaleWords; //: each i SCALE_LOADS

fn row_of_scales() -> u32 {
  return (p.blocks + BLOCKS_OF_SCALE - 1u) / BLOCKS_OF_SCALE;
}

fn place_scales(group0: u32, thread: u32) {
  first_scales = group0 + thread / SCALE_LANES;
}

fn fetch_scales(phase: u32, thread: u32) {
  if phase % (2u * SCALE_LANES * BLOCKS_OF_SCALE) == 0u {
    let width = row_of_scales();
    let at = min(phase / (2u * BLOCKS_OF_SCALE) + thread % SCALE_LANES, width - 1u);
    held_scales$i = w_scales[min(first_scales + $iu * (THREADS / SCALE_LANES), last_group()) * width + at]; //: each i SCALE_LOADS
  }
}

fn publish_scales(block: u32, thread: u32) {
  if thread % SCALE_LANES == block / BLOCKS_OF_SCALE % SCALE_LANES {
//: each i SCALE_LOADS
    let group$i = $iu * (THREADS / SCALE_LANES) + thread / SCALE_LANES;
    if SCALE_LOADS * (THREADS / SCALE_LANES) == COLUMN_GROUPS || group$i < COLUMN_GROUPS {
      scale_words[group$i] = held_scales$i;
    }
//: end
  }
}
