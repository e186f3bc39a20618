// 64-bit unsigned integers as two words, the low one first. Integer sums do not depend on the order of their terms.
fn add(a: vec2u, b: vec2u) -> vec2u {
  let low = a.x + b.x;
  return vec2u(low, a.y + b.y + u32(low < a.x));
}

fn subtract(a: vec2u, b: vec2u) -> vec2u {
  return vec2u(a.x - b.x, a.y - b.y - u32(a.x < b.x));
}

fn less(a: vec2u, b: vec2u) -> bool {
  return a.y < b.y || (a.y == b.y && a.x < b.x);
}

fn product(a: u32, b: u32) -> vec2u {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return vec2u((other << 16u) | (low & 0xffffu), (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u));
}

// `a` times `share` / 2^32, rounded up.
fn share_of(a: vec2u, share: u32) -> vec2u {
  let low = product(a.x, share);
  let whole = add(product(a.y, share), vec2u(low.y, 0u));
  return add(whole, vec2u(u32(low.x > 0u), 0u));
}

// A number below 2^24 in units of 2^-40, rounded down.
fn fixed(x: f32) -> vec2u {
  let scaled = x * 256.0;
  let whole = floor(scaled);
  return vec2u(u32((scaled - whole) * 4294967296.0), u32(whole));
}

fn from_fixed(a: vec2u) -> f32 {
  return f32(a.y) / 256.0 + f32(a.x) / 1099511627776.0;
}

// Maps floats to integers of the same order; both zeros have the same key. No number has key 0.
fn key_of(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  if bits == 0x80000000u {
    return 0x80000000u;
  }
  return select(bits | 0x80000000u, ~bits, bits > 0x80000000u);
}

fn of_key(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}
