/** What loads have found out about devices, kept beside the packages: the next load goes on where the last one stopped. */

/** How a device computes best, as far as it has been tried. */
export interface Tuned {
  variants: number[];
  tried: number;
}

/** By a key that stands for device, driver, model and version. */
export type Known = Record<string, Tuned>;

const CACHE = "ocelli-tuning-v1";
/** Of models that are no longer used nothing is kept for ever. */
const MOST = 32;

const address = () => `${globalThis.location.origin}/ocelli-tuning.json`;

/** What is known; nothing where this window keeps no files. */
export async function recall(): Promise<Known> {
  try {
    const kept = await (await caches.open(CACHE)).match(address());
    const known: unknown = await kept?.json();
    return typeof known === "object" && known !== null ? (known as Known) : {};
  } catch {
    return {};
  }
}

/** Keeps what a load has found beside what was known, if it can be kept: only speed is at stake. */
export async function remember(known: Known, key: string, tuned: Tuned): Promise<void> {
  const before = known[key];
  if (JSON.stringify(before ?? { variants: [0, 0, 0, 0], tried: 0 }) === JSON.stringify(tuned)) return;
  const { [key]: _, ...others } = known;
  const entries = [...Object.entries(others), [key, tuned]].slice(-MOST);
  try {
    await (await caches.open(CACHE)).put(address(), Response.json(Object.fromEntries(entries)));
  } catch {
    return;
  }
}
