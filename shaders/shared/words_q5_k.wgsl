// Elements 0 .. 16 and 16 .. 32 of each row of a block of Q5_K, four to a word.
fn words(nibbles: vec4u, top: u32) -> vec4u {
  let tops = (vec4u(top) >> vec4u(0u, 1u, 2u, 3u)) & vec4u(0x01010101u);
  return (nibbles & vec4u(0x0f0f0f0fu)) | (tops << vec4u(4u));
}

//: each i 4
fn low_words$i(w: Block) -> vec4u {
  return words(w.rows[$i], w.tops[$i]);
}

fn high_words$i(w: Block) -> vec4u {
  return words(w.rows[$i] >> vec4u(4u), w.tops[$i] >> 4u);
}

//: end
