// Elements 0 .. 16 and 16 .. 32 of each row of a block of 8-bit integers, four to a word: as they are stored.
//: each i 4
fn low_words$i(w: Block) -> vec4u {
  return w.low[$i];
}

fn high_words$i(w: Block) -> vec4u {
  return w.high[$i];
}

//: end
