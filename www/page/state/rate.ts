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
