/** The Prompt API of this package in the types of Chrome's own, checked by the compiler alone. */
/// <reference types="dom-chromium-ai" />
import type { LanguageModelFactory, Monitor, Session } from "../src/prompt-api/index.js";

/** A session, or the factory, in place of Chrome's. */
export function chromeSession(session: Session): LanguageModel {
  return session;
}

export function chromeFactory(factory: LanguageModelFactory): Pick<typeof LanguageModel, "create" | "availability" | "params"> {
  return factory;
}

export function loadedByMonitor(monitor: Monitor, told: (loaded: number) => void): void {
  monitor.addEventListener("downloadprogress", ({ loaded }) => told(loaded));
}
