/** Facts for a report of a fault. No text and no name of a file of the user is among them. */
import { Engine } from "../../src/index.js";
import { askedDevice } from "./device.js";
import { current, device } from "./engine.js";
import { problem } from "./problem.js";

/** Written by the build. */
declare const PAGE_VERSION: string;
export const version = PAGE_VERSION;

export async function deviceReport(): Promise<string> {
  const { models: _, ...check } = await Engine.check({ device: askedDevice() });
  const estimate = await navigator.storage?.estimate?.().catch(() => null);
  const facts = {
    version,
    browser: navigator.userAgent,
    languages: navigator.languages,
    isIsolated: globalThis.crossOriginIsolated,
    storage: estimate ? { quota: estimate.quota, usage: estimate.usage } : null,
    check,
    device: device.value,
    hasModel: current.value !== null,
    problem: problem.value ? { code: problem.value.code } : null,
  };
  return `${JSON.stringify(facts, null, 2)}\n`;
}
