// Largest scores and sums of weights of a workgroup's rows, four rows at a time, through workgroup memory.
//: const ROWS ROWS4 THREADS

struct Ids {
  @builtin(local_invocation_index) thread: u32,
}

var<workgroup> thread_values: array<f32, 4 * ROWS4 * THREADS>; // [rows, THREADS]
var<workgroup> row_values: array<f32, 4 * ROWS4>;

fn lanes_of(ids: Ids) -> u32 {
  return ids.thread;
}

fn share_peak(four: u32, peaks: vec4f, thread: u32) {
  let at = 4u * four * THREADS + thread;
  thread_values[at] = peaks.x;
  thread_values[at + THREADS] = peaks.y;
  thread_values[at + 2u * THREADS] = peaks.z;
  thread_values[at + 3u * THREADS] = peaks.w;
}

fn share_total(four: u32, totals: vec4f, thread: u32) {
  share_peak(four, totals, thread);
}

fn wait_for_peaks(thread: u32) {
  workgroupBarrier();
  if thread < ROWS {
    var peak = thread_values[thread * THREADS];
    for (var t = 1u; t < THREADS; t++) {
      peak = max(peak, thread_values[thread * THREADS + t]);
    }
    row_values[thread] = peak;
  }
  workgroupBarrier();
}

fn wait_for_totals(thread: u32) {
  workgroupBarrier();
  if thread < ROWS {
    var total = 0.0;
    for (var t = 0u; t < THREADS; t++) {
      total += thread_values[thread * THREADS + t];
    }
    row_values[thread] = total;
  }
  workgroupBarrier();
}

fn peak_of(four: u32, thread: u32) -> vec4f {
  return vec4f(row_values[4u * four], row_values[4u * four + 1u], row_values[4u * four + 2u], row_values[4u * four + 3u]);
}

fn total_of(row: u32, thread: u32) -> f32 {
  return row_values[row];
}
