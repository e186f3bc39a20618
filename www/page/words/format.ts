/** Numbers, sizes, durations and plurals in the language of the page. */

let locale = "en";
let plurals = new Intl.PluralRules(locale);
let numbers = new Intl.NumberFormat(locale);
/** Symbols of units where a language does not use those of the SI. */
const UNITS: Readonly<Record<string, readonly [second: string, minute: string, hour: string]>> = {
  ar: ["ث", "د", "س"],
  "zh-Hans": ["秒", "分钟", "小时"],
};

/** Makes numbers those of a language. */
export function setLocale(tag: string): void {
  // Digits are the same in all languages, as sizes in names of models and addresses have them, too.
  locale = tag === "xx" ? "en" : `${tag}-u-nu-latn`;
  [plurals, numbers] = [new Intl.PluralRules(locale), new Intl.NumberFormat(locale)];
}

/** `12,400`. */
export function number(value: number): string {
  return numbers.format(value);
}

/** The category of a number, such as `one` or `few`. */
export function category(value: number): Intl.LDMLPluralRule {
  return plurals.select(value);
}

/** A number with its noun, in languages with two forms; those with one give it twice. */
export function count(value: number, one: string, other: string): string {
  return `${number(value)} ${category(value) === "one" ? one : other}`;
}

/** `2.99 GB`. */
export function sizeText(value: number): string {
  const [unit, size] = value < 1e6 ? ["kB", 1e3] : value < 1e9 ? ["MB", 1e6] : ["GB", 1e9];
  const digits = { minimumSignificantDigits: 3, maximumSignificantDigits: 3 };
  const symbol = locale.startsWith("fr") ? unit.replace("B", "o") : unit;
  return `${(value / size).toLocaleString(locale, digits)} ${symbol}`;
}

/** `40 s`, `12 min`, `2 h 5 min`. */
export function duration(seconds: number): string {
  const [second, minute, hour] = UNITS[locale.split("-u-")[0] ?? ""] ?? ["s", "min", "h"];
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} ${second}`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} ${minute}` : `${Math.floor(minutes / 60)} ${hour} ${minutes % 60} ${minute}`;
}

export function percent(part: number): string {
  return `${Math.floor(100 * Math.min(1, Math.max(0, part)))} %`;
}

/** With two digits below ten. */
export function rough(value: number): string {
  const digits = value < 10 ? 1 : 0;
  return value.toLocaleString(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false });
}
