// Elements 0 .. 16 and 16 .. 32 of each row of a block of 4-bit integers, four to a word.
//: each i 4
fn low_words$i(w: Block) -> vec4u {
  return w.rows[$i] & vec4u(0x0f0f0f0fu);
}

fn high_words$i(w: Block) -> vec4u {
  return (w.rows[$i] >> vec4u(4u)) & vec4u(0x0f0f0f0fu);
}

//: end
