// The plane of high bits: HIGH_LANES blocks of a row are 64 bytes.
//: const COLUMN_GROUPS THREADS HIGH_LANES HIGH_LOADS

@group(0) @binding(next) var<storage, read> w_high_bits: array<HighBits>; // [rows, blocks]

var<workgroup> high_words: array<array<HighBits, 4>, COLUMN_GROUPS>;
var<private> high_bits_at$i: u32; //: each i HIGH_LOADS
var<private> held_high_bits$i: HighBits; //: each i HIGH_LOADS

fn place_high_bits(group0: u32, thread: u32) {
  let row = group0 * 4u + thread / HIGH_LANES;
  high_bits_at$i = min(row + $iu * (THREADS / HIGH_LANES), last_group() * 4u + 3u) * p.blocks; //: each i HIGH_LOADS
}

fn fetch_high_bits(phase: u32, thread: u32) {
  if phase % (2u * HIGH_LANES) == 0u {
    let at = min(phase / 2u + thread % HIGH_LANES, p.blocks - 1u);
    held_high_bits$i = w_high_bits[high_bits_at$i + at]; //: each i HIGH_LOADS
  }
}

fn publish_high_bits(block: u32, thread: u32) {
  if thread % HIGH_LANES == block % HIGH_LANES {
    let column = thread / HIGH_LANES;
//: each i HIGH_LOADS
    high_words[$iu * (THREADS / HIGH_LANES / 4u) + column / 4u][column % 4u] = held_high_bits$i;
//: end
  }
}
