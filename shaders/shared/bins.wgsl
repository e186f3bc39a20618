// 256 bins of 64-bit sums, over places that a search narrows to a single one. For workgroups of 256.
const BINS = 256u;

var<workgroup> low: array<atomic<u32>, BINS>;
var<workgroup> high: array<atomic<u32>, BINS>;
var<workgroup> sums: array<vec2u, 16>; // of 16 bins each
var<workgroup> wanted: vec2u; // measure that is to be reached from above
var<workgroup> base: u32; // where the bins begin, the last place in them, and log2 of the places in one
var<workgroup> last: u32;
var<workgroup> shift: u32;
var<workgroup> at_base: vec2u; // measure of the last bin chosen
var<workgroup> searching: u32;
var<workgroup> found: u32;

fn clear(lane: u32) {
  atomicStore(&low[lane], 0u);
  atomicStore(&high[lane], 0u);
}

fn put(bin: u32, measure: vec2u) {
  let before = atomicAdd(&low[bin], measure.x);
  let carried = measure.y + u32(before + measure.x < before);
  if carried > 0u {
    atomicAdd(&high[bin], carried);
  }
}

fn bin(index: u32) -> vec2u {
  return vec2u(atomicLoad(&low[index]), atomicLoad(&high[index]));
}

// After all is put, by the first 16 lanes.
fn sum_up(lane: u32) {
  var sum = vec2u();
  for (var i = 0u; i < 16u; i++) {
    sum = add(sum, bin(lane * 16u + i));
  }
  sums[lane] = sum;
}

// The bin in which `wanted` is reached from above becomes the new bins.
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
  while less(bin(at), wanted) {
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
