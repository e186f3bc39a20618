/** The language of the page. English is part of it; each other language is loaded when it is chosen. */
import { batch, signal } from "@preact/signals-core";
import { setLocale } from "./format.js";
import type { LateWords, Words } from "./types.js";

/** Languages by their names in themselves. */
export const LANGUAGE_NAMES = {
  en: "English",
  ar: "العربية",
  de: "Deutsch",
  es: "Español",
  fr: "Français",
  "zh-Hans": "简体中文",
} as const;

export type Language = keyof typeof LANGUAGE_NAMES | "xx";

/** The tag of the language that is shown. `xx` marks every text, so that tests find what is not translated. */
export const language = signal<Language>("en");
/** Its words; `null` is English. */
export const loadedWords = signal<Words | null>(null);
/** Marks the words of English, for the pseudo language. */
const marker = signal<(<T>(words: T) => T) | null>(null);
/** Words of views that are loaded later; `null` is English. */
export const loadedLate = signal<LateWords | null>(null);

/** The words to show: those of another language, if it is loaded, in place of the English ones. */
export function shown<T>(english: T, other: T | undefined | null): T {
  return marker.value?.(english) ?? other ?? english;
}

type Load = () => Promise<{ main: Words; loadLate: () => Promise<{ late: LateWords }> }>;

const LOADERS: Readonly<Record<Exclude<Language, "en" | "xx">, Load>> = {
  ar: async () => ({ ...(await import("./ar/main.js")), loadLate: () => import("./ar/late.js") }),
  de: async () => ({ ...(await import("./de/main.js")), loadLate: () => import("./de/late.js") }),
  es: async () => ({ ...(await import("./es/main.js")), loadLate: () => import("./es/late.js") }),
  fr: async () => ({ ...(await import("./fr/main.js")), loadLate: () => import("./fr/late.js") }),
  "zh-Hans": async () => ({ ...(await import("./zh-Hans/main.js")), loadLate: () => import("./zh-Hans/late.js") }),
};

let lateWords: Promise<void> = Promise.resolve();

/** Resolves once the words of views that are loaded later are there, or have failed to load, in which case they are English. */
export function lateWordsLoaded(): Promise<void> {
  return lateWords;
}

/** Shows another language; at the start, the first view need not wait for the words of others. Resolves to false, with the language as it was, if it cannot be loaded. */
export async function setLanguage(tag: Language, { isStart = false } = {}): Promise<boolean> {
  if (tag === language.value) return true;
  if (tag === "en") {
    loadedLate.value = null;
    show("en", null);
    return true;
  }
  try {
    if (tag === "xx") {
      marker.value = (await import("./xx.js")).mark;
      show(tag, null);
      return true;
    }
    const { main, loadLate } = await LOADERS[tag]();
    const late = loadLate();
    lateWords = late.then(({ late }) => void (loadedLate.value = late)).catch(() => void (loadedLate.value = null));
    if (!isStart) await lateWords;
    show(tag, main);
    return true;
  } catch {
    return false;
  }
}

function show(tag: Language, main: Words | null): void {
  setLocale(tag);
  batch(() => {
    [loadedWords.value, language.value] = [main, tag];
  });
}

/** The first of `wanted`, such as `navigator.languages`, that the page has; English if there is none. */
export function bestOf(wanted: readonly string[]): Language {
  const known = Object.keys(LANGUAGE_NAMES) as Language[];
  for (const tag of wanted) {
    const [base = ""] = tag.toLowerCase().split("-");
    const found = known.find((each) => each.split("-")[0] === base);
    if (found) return found;
  }
  return "en";
}

/** The direction in which a language is written. */
export function directionOf(tag: Language): "ltr" | "rtl" {
  return tag === "ar" ? "rtl" : "ltr";
}
