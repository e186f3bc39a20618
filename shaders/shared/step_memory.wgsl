// Peaks and totals of a workgroup's rows, in fours, through workgroup memory alone.
struct Ids {
  @builtin(local_invocation_index) thread: u32,
}

var<workgroup> of_threads: array<vec4f, FOURS * THREADS>; // [FOURS, THREADS]
var<workgroup> of_rows: array<vec4f, FOURS>;

fn lanes_of(ids: Ids) -> u32 {
  return ids.thread;
}

fn tell_peak(four: u32, peaks: vec4f, thread: u32) {
  of_threads[four * THREADS + thread] = peaks;
}

fn tell_total(four: u32, totals: vec4f, thread: u32) {
  of_threads[four * THREADS + thread] = totals;
}

fn meet_for_peaks(thread: u32) {
  workgroupBarrier();
  if thread < FOURS {
    var peaks = of_threads[thread * THREADS];
    for (var t = 1u; t < THREADS; t++) {
      peaks = max(peaks, of_threads[thread * THREADS + t]);
    }
    of_rows[thread] = peaks;
  }
  workgroupBarrier();
}

fn meet_for_totals(thread: u32) {
  workgroupBarrier();
  if thread < FOURS {
    var totals = vec4f(0.0);
    for (var t = 0u; t < THREADS; t++) {
      totals += of_threads[thread * THREADS + t];
    }
    of_rows[thread] = totals;
  }
  workgroupBarrier();
}

fn peak_of(four: u32, thread: u32) -> vec4f {
  return of_rows[four];
}

fn total_of(row: u32, thread: u32) -> f32 {
  return of_rows[row / 4u][row % 4u];
}
