/** Language and colours. They are needed before the first view, so they are kept where they can be read at once. */
import { effect, signal, type Signal } from "@preact/signals-core";
import { bestOf, LANGUAGE_NAMES, setLanguage, type Language } from "../words/language.js";

export type Theme = "system" | "light" | "dark";

/** The language that the user has chosen; `null`: that of the browser. */
export const chosenLanguage = kept<keyof typeof LANGUAGE_NAMES | null>("ocelli-language", null, (tag) => tag in LANGUAGE_NAMES);
export const theme = kept<Theme>("ocelli-theme", "system", (name) => name === "light" || name === "dark");

function kept<T extends string | null>(key: string, initial: T, isValid: (text: string) => boolean): Signal<T> {
  const text = attempt(() => localStorage.getItem(key)) ?? null;
  const value = signal(text !== null && isValid(text) ? (text as T) : initial);
  let isFirst = true;
  effect(() => {
    const now = value.value;
    if (!isFirst) attempt(() => (now === initial ? localStorage.removeItem(key) : localStorage.setItem(key, String(now))));
    isFirst = false;
  });
  return value;
}

/** Without storage nothing is kept. */
function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}

/** The language to show: of the address (`?words=xx`), of the settings, or of the browser. */
function wanted(): Language {
  if (new URLSearchParams(location.search).get("words") === "xx") return "xx";
  return chosenLanguage.value ?? bestOf(navigator.languages);
}

/** Loads the language of the page. */
export function startLanguage(): Promise<boolean> {
  return setLanguage(wanted(), { isStart: true });
}

/** Shows the page in another language; resolves to false if it cannot be loaded. */
export async function chooseLanguage(tag: keyof typeof LANGUAGE_NAMES | null): Promise<boolean> {
  const before = chosenLanguage.value;
  chosenLanguage.value = tag;
  const isShown = await setLanguage(wanted());
  if (!isShown) chosenLanguage.value = before;
  return isShown;
}
