// A histogram of 64-bit sums in 256 bins over a range of keys. A search narrows the range to one key. Needs workgroups of 256 threads.
//: use u64

const BINS = 256u;
const MAX_ROUNDS = 4u; // that narrow the range of a search, each by 8 bits of a key

var<workgroup> low: array<atomic<u32>, BINS>;
var<workgroup> high: array<atomic<u32>, BINS>;
var<workgroup> sums: array<vec2u, 16>; // of 16 bins each
var<workgroup> wanted: vec2u; // sum to reach, from the last bin down
var<workgroup> base: u32; // first key
var<workgroup> last: u32; // last key, counted from the first
var<workgroup> shift: u32; // log2 of the keys of a bin
var<workgroup> at_base: vec2u; // sum of the bin that was chosen last
var<workgroup> searching: u32;
var<workgroup> found: u32;

fn clear(lane: u32) {
  atomicStore(&low[lane], 0u);
  atomicStore(&high[lane], 0u);
}

fn add_to_bin(bin: u32, amount: vec2u) {
  let before = atomicAdd(&low[bin], amount.x);
  let carried = amount.y + u32(before + amount.x < before);
  if carried > 0u {
    atomicAdd(&high[bin], carried);
  }
}

fn bin(index: u32) -> vec2u {
  return vec2u(atomicLoad(&low[index]), atomicLoad(&high[index]));
}

// Sums of 16 bins each, by the first 16 lanes.
fn sum_bins(lane: u32) {
  var sum = vec2u();
  for (var i = 0u; i < 16u; i++) {
    sum = add(sum, bin(lane * 16u + i));
  }
  sums[lane] = sum;
}

// Narrows the range to the bin in which `wanted` is reached.
fn narrow() {
  var at = 16u;
  var reached = false;
  while at > 0u && !reached {
    at--;
    reached = !less(sums[at], wanted);
    if !reached {
      wanted = subtract(wanted, sums[at]);
    }
  }
  if !reached {
    searching = 0u;
    return;
  }
  at = at * 16u + 15u;
  while at > 0u && less(bin(at), wanted) {
    wanted = subtract(wanted, bin(at));
    at--;
  }
  at_base = bin(at);
  base += at << shift;
  last = (1u << shift) - 1u;
  found = u32(shift == 0u);
  searching = 1u - found;
  shift = max(shift, 8u) - 8u;
}
