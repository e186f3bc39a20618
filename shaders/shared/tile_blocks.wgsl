// Loads blocks of weights into a tile. Neighbouring threads load neighbouring parts of a plane, 64 bytes of each row or group of rows at a time,
// and keep them in registers. When a phase needs them they are published in workgroup memory, from where other threads unpack them.
//: const COLUMN_GROUPS AT_ONCE QUANT_PHASES HIGH_BITS SUPER_SCALES

// The last group of four rows of the stored matrix.
fn last_group() -> u32 {
  return (p.n - 1u) / 4u;
}

// Sets the offsets that a thread loads from.
fn place(group0: u32, thread: u32) {
  place_quants(group0, thread);
  place_high_bits(group0, thread); //: when HIGH_BITS
  place_scales(group0, thread);
  place_super_scales(group0, thread); //: when SUPER_SCALES
}

// Loads the data of the phases from this one on, as far as it is not loaded yet.
fn fetch(phase: u32, thread: u32) {
  fetch_quants(phase, thread);
  fetch_high_bits(phase, thread); //: when HIGH_BITS
  fetch_scales(phase, thread);
  fetch_super_scales(phase, thread); //: when SUPER_SCALES
}

fn publish(phase: u32, thread: u32) {
  if phase % QUANT_PHASES == 0u {
    publish_quants(phase / QUANT_PHASES, thread);
  }
  if phase % 2u == 0u {
    publish_high_bits(phase / 2u, thread); //: when HIGH_BITS
    publish_scales(phase / 2u, thread);
    publish_super_scales(phase / 2u, thread); //: when SUPER_SCALES
  }
}

// Unpacks a phase. A thread unpacks AT_ONCE inputs of four columns.
fn unpack(phase: u32, thread: u32) {
  let group = thread % COLUMN_GROUPS;
  let turn = thread / COLUMN_GROUPS;
  let is_high = phase % 2u;
  let scales = half_scales(group, phase / 2u);
  let scale = select(scales[0], scales[2], is_high == 1u);
  let offset = select(scales[1], scales[3], is_high == 1u);
  let bytes = bytes_of(group, turn * AT_ONCE / 4u, is_high) >> vec4u(turn % (4u / AT_ONCE) * AT_ONCE * 8u);
  keep_weights(turn, group, array(
    vec4f((bytes >> vec4u(8u * $iu)) & vec4u(0xffu)) * scale - offset, //: each i AT_ONCE
  ));
}
