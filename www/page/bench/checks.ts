/** Checks of a device: kernels, known answers, and speed against what the device itself can do. */
import type { BenchReport, DeviceReport, Engine } from "../../src/index.js";

/** Result of a check. */
export interface Check {
  name: string;
  isOk: boolean;
  detail: string;
}

/** Pictures of which the answers are compared. */
const PICTURES = 3;
/**
 * Least share of the device's own best rate that a GPU of hardware should reach: a token against a copy of the weights, a prompt and a picture
 * against the peak of multiplications. Estimates, which reports of devices are to replace.
 */
const EXPECTED = { decode: 0.5, prompt: 0.25, picture: 0.2 };
/** Work that the device could do in less time says nothing about its speed: launches take longer. In milliseconds. */
const LEAST_BOUND_MS = 1;

export function selfTestCheck({ selfTest: { passed, failed, earlier } }: DeviceReport): Check {
  const wrong = failed.map(({ kernel, tier }) => `${kernel} (${tier})`).join(", ");
  const detail = `${passed} kernels compute correctly${earlier ? ", as an earlier test on this device found" : ""}`;
  return { name: "Kernels", isOk: failed.length === 0, detail: wrong ? `${detail}; replaced: ${wrong}` : detail };
}

/** Compares answers with those that `gallery/gallery.json` of the package lists; `null` for a package without them. */
export async function answersCheck(engine: Engine, packageUrl: URL, signal: AbortSignal): Promise<Check | null> {
  const folder = new URL("gallery/", packageUrl);
  const response = await fetch(new URL("gallery.json", folder), { signal }).catch(() => null);
  if (!response?.ok || !response.headers.get("content-type")?.includes("json")) return null;
  const scenes = (await response.json()) as { file: string; answers: { prompt: string; answer: string }[] }[];
  const wrong: string[] = [];
  for (const { file, answers } of scenes.slice(0, PICTURES)) {
    const [known] = answers;
    if (!known) continue;
    const content = [
      { type: "image_url" as const, image_url: { url: new URL(file, folder).href } },
      { type: "text" as const, text: known.prompt },
    ];
    const request = { messages: [{ role: "user" as const, content }], temperature: 0, max_tokens: 100 };
    const { choices } = await engine.chat.completions.create(request, { signal });
    const said = choices[0]?.message.content ?? "";
    if (said !== known.answer) wrong.push(`${file}: “${said}” in place of “${known.answer}”`);
  }
  const shown = Math.min(PICTURES, scenes.length);
  return {
    name: "Known answers",
    isOk: wrong.length === 0,
    detail: wrong.join("; ") || `${shown} of ${shown} pictures are described as expected`,
  };
}

/** Shares of the device's best rates that whole requests reach; nothing is expected of emulated GPUs and of processors. */
export function speedChecks({ works, device }: BenchReport): Check[] {
  if (device.class !== "hardware") return [];
  return works.flatMap(({ work: { kind }, measuredMs, boundMs }): Check[] => {
    if (measuredMs === null || boundMs < LEAST_BOUND_MS) return [];
    const share = boundMs / measuredMs;
    const detail = `${(100 * share).toFixed(0)} % of the device's best rate`;
    const expected = EXPECTED[kind];
    const isOk = share >= expected;
    return [{ name: NAMES[kind], isOk, detail: isOk ? detail : `${detail}; ${(100 * expected).toFixed(0)} % are expected` }];
  });
}

const NAMES = { decode: "Speed of a token", prompt: "Speed of a prompt", picture: "Speed of a picture" };
