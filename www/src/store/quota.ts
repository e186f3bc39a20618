/** Storage quota of this site. */

/** Bytes that this site may still store by the browser's estimate; `null` without one. */
export async function freeBytes(): Promise<number | null> {
  try {
    const { quota, usage } = await navigator.storage.estimate();
    return quota === undefined ? null : Math.max(0, quota - (usage ?? 0));
  } catch {
    return null;
  }
}

/** Formats bytes with three digits and a unit. */
export function readableBytes(bytes: number): string {
  const [unit, size] = bytes < 1e6 ? ["kB", 1e3] : bytes < 1e9 ? ["MB", 1e6] : ["GB", 1e9];
  const digits = { minimumSignificantDigits: 3, maximumSignificantDigits: 3 };
  return `${(bytes / size).toLocaleString("en", digits)} ${unit}`;
}
