// Elements 0 .. 16 and 16 .. 32 of each row of a block of Q6_K, four to a word.
fn words(nibbles: vec4u, tops: u32) -> vec4u {
  let upper = (vec4u(tops) >> vec4u(0u, 2u, 4u, 6u)) & vec4u(0x03030303u);
  return (nibbles & vec4u(0x0f0f0f0fu)) | (upper << vec4u(4u));
}

//: each i 4
fn low_words$i(w: Block) -> vec4u {
  return words(w.rows[$i], w.tops[$i].x);
}

fn high_words$i(w: Block) -> vec4u {
  return words(w.rows[$i] >> vec4u(4u), w.tops[$i].y);
}

//: end
