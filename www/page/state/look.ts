/** Seconds until the first word of an answer about the pictures of the tray, for each size that they can be seen at. */
import { effect, signal } from "@preact/signals-core";
import type { Detail } from "../../src/index.js";
import { measureId } from "../store/measures.js";
import type { PictureName } from "../store/schema.js";
import { measures, underway } from "./answer.js";
import { device, engine } from "./engine.js";
import type { PageEngine } from "./page-engine.js";
import { pictures } from "./pictures.js";
import { attached } from "./tray.js";

/** After this time without a change the tokens are counted. */
const WAIT_MS = 400;

/** Without an entry where nothing has been measured yet. */
export const lookSeconds = signal<Partial<Record<Detail, number>>>({});

/** Counts the tokens again when the tray, the model or the measurements change. */
export function listenForLooks(): void {
  effect(() => {
    const [model, names] = [engine.value, attached.value];
    const { visionMsPerToken = null, prefillMsPerToken = null } =
      measures.value.get(measureId(model?.packageUrl ?? "", device.value?.name ?? "")) ?? {};
    lookSeconds.value = {};
    if (!model || names.length === 0 || visionMsPerToken === null || prefillMsPerToken === null || underway.value) return;
    const abort = new AbortController();
    const timer = setTimeout(() => void count(model, names, (visionMsPerToken + prefillMsPerToken) / 1000, abort.signal), WAIT_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  });
}

async function count(model: PageEngine, names: readonly PictureName[], secondsPerToken: number, signal: AbortSignal): Promise<void> {
  const blobs = names.flatMap(({ id }) => pictures.peek().get(id)?.blob ?? []);
  for (const detail of ["low", "auto", "high"] as const) {
    const content = blobs.map((blob) => ({ type: "image_url" as const, image_url: { url: blob, detail } }));
    // A picture that cannot be read is told when it is asked about.
    const counted = await model.tokenize({ messages: [{ role: "user", content }] }, { signal }).catch(() => null);
    if (signal.aborted || !counted) return;
    lookSeconds.value = { ...lookSeconds.value, [detail]: counted.count * secondsPerToken };
  }
}
