// The plane of the scales of scales, interleaved by four rows: SUPER_LANES super-blocks are 64 bytes.
//: const COLUMN_GROUPS THREADS SUPER_LANES SUPER_LOADS

@group(0) @binding(next) var<storage, read> w_super_scales: array<SuperScales>; // [rows / 4, blocks / 8]

var<workgroup> super_words: array<SuperScales, COLUMN_GROUPS>;
var<private> super_scales_at$i: u32; //: each i SUPER_LOADS
var<private> held_super_scales$i: SuperScales; //: each i SUPER_LOADS

fn place_super_scales(group0: u32, thread: u32) {
  let group = group0 + thread / SUPER_LANES;
  super_scales_at$i = min(group + $iu * (THREADS / SUPER_LANES), last_group()) * (p.blocks / 8u); //: each i SUPER_LOADS
}

fn fetch_super_scales(phase: u32, thread: u32) {
  if phase % (16u * SUPER_LANES) == 0u {
    let at = min(phase / 16u + thread % SUPER_LANES, p.blocks / 8u - 1u);
    held_super_scales$i = w_super_scales[super_scales_at$i + at]; //: each i SUPER_LOADS
  }
}

fn publish_super_scales(block: u32, thread: u32) {
  if thread % SUPER_LANES == block / 8u % SUPER_LANES {
//: each i SUPER_LOADS
    let group$i = $iu * (THREADS / SUPER_LANES) + thread / SUPER_LANES;
    if SUPER_LOADS * (THREADS / SUPER_LANES) == COLUMN_GROUPS || group$i < COLUMN_GROUPS {
      super_words[group$i] = held_super_scales$i;
    }
//: end
  }
}
