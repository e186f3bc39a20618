// Keys and values stored in the order of their positions, such as those of a picture.
fn kv_row(position: u32) -> u32 {
  return position;
}
