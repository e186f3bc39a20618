/** The device that models run on, in words. */

export function deviceWords(name: string, isSoftware: boolean): string {
  if (isSoftware) return `a processor that emulates a GPU${name ? ` (${name})` : ""}`;
  return name || "your GPU";
}
