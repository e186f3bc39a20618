/** Numbers as people read them. */

export function bytes(count: number): string {
  if (count < 1e6) return `${Math.ceil(count / 1e3)} kB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e9).toFixed(2)} GB`;
}

/** `40 s left`, `12 min left`, `2 h 5 min left`. */
export function timeLeft(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s left`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min left` : `${Math.floor(minutes / 60)} h ${minutes % 60} min left`;
}

/** How fast something grows, over the last seconds. */
export class Rate {
  private samples: { at: number; value: number }[] = [];

  constructor(private readonly windowMs = 8000) {}

  /** Units a second; `null` while there is too little to tell. */
  add(value: number, at = performance.now()): number | null {
    const last = this.samples.at(-1);
    // What begins anew is another thing.
    if (last && value < last.value) this.samples = [];
    if (!last || at - last.at > 100) this.samples.push({ at, value });
    while (this.samples.length > 2 && at - (this.samples[0]?.at ?? at) > this.windowMs) this.samples.shift();
    const first = this.samples[0];
    if (!first || at - first.at < 1000) return null;
    return (1000 * (value - first.value)) / (at - first.at);
  }
}
