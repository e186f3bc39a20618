// Quads of a block of Q5_K. Bytes are masked, not shifted: inputs are divided by what they are then worth too much.
const LOW_UNIT = vec4f(1.0, 0x1p-8, 0x1p-16, 0x1p-24);
const HIGH_UNIT = LOW_UNIT;

fn quad(nibbles: u32, top: u32) -> vec4f {
  let w = (nibbles & 0x0f0f0f0fu) | ((top & 0x01010101u) << 4u);
  return vec4f(vec4i(vec4u(w) & vec4u(0xffu, 0xff00u, 0xff0000u, 0xff000000u)));
}

//: each j 4
// Elements 4j .. 4j + 4, and 16 + 4j .. 16 + 4j + 4, of each row.
fn low_quads$j(w: Block) -> mat4x4f {
  return mat4x4f(
    quad(w.rows[0][$j], w.tops[0] >> $ju),
    quad(w.rows[1][$j], w.tops[1] >> $ju),
    quad(w.rows[2][$j], w.tops[2] >> $ju),
    quad(w.rows[3][$j], w.tops[3] >> $ju),
  );
}

fn high_quads$j(w: Block) -> mat4x4f {
  return mat4x4f(
    quad(w.rows[0][$j] >> 4u, w.tops[0] >> ($ju + 4u)),
    quad(w.rows[1][$j] >> 4u, w.tops[1] >> ($ju + 4u)),
    quad(w.rows[2][$j] >> 4u, w.tops[2] >> ($ju + 4u)),
    quad(w.rows[3][$j] >> 4u, w.tops[3] >> ($ju + 4u)),
  );
}

//: end
