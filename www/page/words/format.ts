/** Numbers, sizes, durations and plurals in words. */

const plurals = new Intl.PluralRules("en");
const numbers = new Intl.NumberFormat("en");

/** `12,400`. */
export function number(value: number): string {
  return numbers.format(value);
}

/** A number with its noun. */
export function count(value: number, one: string, other: string): string {
  return `${number(value)} ${plurals.select(value) === "one" ? one : other}`;
}

/** `40 s`, `12 min`, `2 h 5 min`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function percent(part: number): string {
  return `${Math.floor(100 * Math.min(1, Math.max(0, part)))} %`;
}

/** With two digits below ten. */
export function rough(value: number): string {
  return value < 10 ? value.toFixed(1) : String(Math.round(value));
}
