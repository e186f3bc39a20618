// Peaks and totals of a workgroup's rows, in fours, through workgroup memory alone.
struct Ids {
  @builtin(local_invocation_index) thread: u32,
}

var<workgroup> of_threads: array<f32, 4 * FOURS * THREADS>; // [rows, THREADS]
var<workgroup> of_rows: array<f32, 4 * FOURS>;

fn lanes_of(ids: Ids) -> u32 {
  return ids.thread;
}

fn tell_peak(four: u32, peaks: vec4f, thread: u32) {
  let at = 4u * four * THREADS + thread;
  of_threads[at] = peaks.x;
  of_threads[at + THREADS] = peaks.y;
  of_threads[at + 2u * THREADS] = peaks.z;
  of_threads[at + 3u * THREADS] = peaks.w;
}

fn tell_total(four: u32, totals: vec4f, thread: u32) {
  tell_peak(four, totals, thread);
}

fn meet_for_peaks(thread: u32) {
  workgroupBarrier();
  if thread < ROWS {
    var peak = of_threads[thread * THREADS];
    for (var t = 1u; t < THREADS; t++) {
      peak = max(peak, of_threads[thread * THREADS + t]);
    }
    of_rows[thread] = peak;
  }
  workgroupBarrier();
}

fn meet_for_totals(thread: u32) {
  workgroupBarrier();
  if thread < ROWS {
    var total = 0.0;
    for (var t = 0u; t < THREADS; t++) {
      total += of_threads[thread * THREADS + t];
    }
    of_rows[thread] = total;
  }
  workgroupBarrier();
}

fn peak_of(four: u32, thread: u32) -> vec4f {
  return vec4f(of_rows[4u * four], of_rows[4u * four + 1u], of_rows[4u * four + 2u], of_rows[4u * four + 3u]);
}

fn total_of(row: u32, thread: u32) -> f32 {
  return of_rows[row];
}
