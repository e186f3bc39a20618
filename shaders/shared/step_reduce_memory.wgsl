// Maxima of scores and sums of weights over a workgroup's rows, four rows at a time, through workgroup memory: first over each of PARTS parts of
// the threads, then over the parts.
//: const ROWS4 THREADS PARTS

const THREADS_OF_PART: u32 = THREADS / PARTS;

var<workgroup> thread_values: array<vec4f, ROWS4 * THREADS>; // [ROWS4, THREADS]
var<workgroup> part_values: array<vec4f, ROWS4 * PARTS>; // [ROWS4, PARTS]

fn lanes_of(thread: u32) -> u32 {
  return thread;
}

fn share_peak(four: u32, peaks: vec4f, thread: u32) {
  thread_values[four * THREADS + thread] = peaks;
}

fn share_total(four: u32, totals: vec4f, thread: u32) {
  share_peak(four, totals, thread);
}

fn wait_for_peaks(thread: u32) {
  workgroupBarrier();
  if thread < ROWS4 * PARTS {
    let first = thread / PARTS * THREADS + thread % PARTS;
    var peaks = thread_values[first];
    for (var t = 1u; t < THREADS_OF_PART; t++) {
      peaks = max(peaks, thread_values[first + t * PARTS]);
    }
    part_values[thread] = peaks;
  }
  workgroupBarrier();
}

fn wait_for_totals(thread: u32) {
  workgroupBarrier();
  if thread < ROWS4 * PARTS {
    let first = thread / PARTS * THREADS + thread % PARTS;
    var totals = vec4f(0.0);
    for (var t = 0u; t < THREADS_OF_PART; t++) {
      totals += thread_values[first + t * PARTS];
    }
    part_values[thread] = totals;
  }
  workgroupBarrier();
}

fn peak_of(four: u32, thread: u32) -> vec4f {
  var peaks = part_values[four * PARTS];
  peaks = max(peaks, part_values[four * PARTS + $nu]); //: each n PARTS
  return peaks;
}

fn total_of(row: u32, thread: u32) -> f32 {
  var total = 0.0;
  total += part_values[row / 4u * PARTS + $nu][row % 4u]; //: each n PARTS
  return total;
}
