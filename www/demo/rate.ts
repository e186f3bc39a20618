/** How fast something grows, and how long it will take. */

/** `40 s`, `12 min`, `2 h 5 min`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Growth over the last seconds. */
export class Rate {
  private samples: { at: number; value: number }[] = [];

  constructor(private readonly windowMs = 8000) {}

  /** Units per second; `null` until there are enough samples. */
  add(value: number, at = performance.now()): number | null {
    const last = this.samples.at(-1);
    // A smaller value starts a new measurement.
    if (last && value < last.value) this.samples = [];
    if (!last || at - last.at > 100) this.samples.push({ at, value });
    while (this.samples.length > 2 && at - (this.samples[0]?.at ?? at) > this.windowMs) this.samples.shift();
    const first = this.samples[0];
    if (!first || at - first.at < 1000) return null;
    return (1000 * (value - first.value)) / (at - first.at);
  }
}
