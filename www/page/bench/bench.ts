/** The page that times a model on the visitor's device and offers the report as a file. */
import { Engine, OcelliError, type BenchMeasure, type BenchOptions, type BenchReport } from "../../src/index.js";
import { askedDevice } from "../state/device.js";
import { element, find } from "./dom.js";

const QUICK: BenchOptions = { decode: [128], prefill: [128], pictures: [448], rounds: 1, tokens: 8, patienceMs: 20_000 };
const FULL: BenchOptions = { decode: [128, 1024, 4096], prefill: [512, 2048], pictures: [448, 1036], rounds: 3, tokens: 16 };
/** The parts of the engine that have the benchmark. */
const BENCH_PARTS = { workerUrl: "bench-worker.js", wasmUrl: "ocelli/wasm/ocelli_bench_bg.wasm" };
/** Tokens of context beyond the longest that is timed. */
const RESERVE = 32;

const WHAT: Record<BenchMeasure["what"], string> = {
  first_token: "first token after loading",
  prompt: "prompt",
  decode: "decode, a token",
  drafts_of3: "decode, with 3 right drafts",
  drafts_of7: "decode, with 7 right drafts",
  together: "answers at once, a token",
  picture: "picture encoded",
  picture_to_first_token: "picture to first token",
};

const NUMBERS = { f32: "32-bit floats", f16: "16-bit floats", int8: "8-bit integers" };

const form = find("options", HTMLFormElement);
const start = find("start", HTMLButtonElement);
const stop = find("stop", HTMLButtonElement);
const log = find("log", HTMLPreElement);
const problem = find("problem", HTMLElement);
const result = find("result", HTMLElement);

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void run();
});

async function run(): Promise<void> {
  const options = find("size", HTMLSelectElement).value === "full" ? FULL : QUICK;
  const controller = new AbortController();
  const abort = () => controller.abort();
  stop.addEventListener("click", abort);
  start.disabled = true;
  stop.hidden = log.hidden = find("log-heading", HTMLElement).hidden = false;
  problem.textContent = log.textContent = "";
  result.replaceChildren();
  let engine: Engine | null = null;
  try {
    const context = Math.max(...(options.decode ?? []), ...(options.prefill ?? []), 2048) + RESERVE;
    const began = performance.now();
    const wanted = { device: askedDevice(), context, signal: controller.signal };
    engine = await Engine.load(find("package", HTMLInputElement).value, { ...BENCH_PARTS, ...wanted });
    const loadMs = performance.now() - began;
    tell(`loaded: ${loadMs.toFixed(0)} ms`);
    const report = await engine.bench(options, { signal: controller.signal, onFigure: tell });
    result.replaceChildren(...tables(report), download({ ...report, loadMs, userAgent: navigator.userAgent }));
  } catch (thrown) {
    if (!controller.signal.aborted) problem.textContent = thrown instanceof OcelliError ? thrown.message : String(thrown);
  } finally {
    engine?.unload();
    stop.removeEventListener("click", abort);
    start.disabled = false;
    stop.hidden = true;
  }
}

function tell(line: string): void {
  log.append(`${line}\n`);
  log.scrollTop = log.scrollHeight;
}

function tables(report: BenchReport): HTMLElement[] {
  const { device, model, quantization, kv, peaks } = report;
  const about = `${model} (${quantization}, cache ${kv}) on ${device.name || "a GPU that the browser does not name"}`;
  const shown: HTMLElement[] = [element("p", {}, about)];
  const measures = report.measures.map((measure) => {
    const ms = measure.what === "decode" ? measure.medianMs / measure.steps : measure.medianMs;
    const rate = measure.steps > 1 ? `${((1e3 * measure.steps) / measure.medianMs).toFixed(1)} tokens/s` : "";
    const size = `${measure.size} ${measure.what === "picture" ? "pixels" : "tokens"}`;
    return [WHAT[measure.what], size, ms.toFixed(1), rate];
  });
  shown.push(table("Requests", ["what", "size", "ms", "rate"], measures));
  if (!peaks) return shown;
  const best = peaks.arithmetic.map(({ numbers, gops }) => [`multiply and add ${NUMBERS[numbers]}`, `${gops.toFixed(1)} GOP/s`]);
  shown.push(table("The device at best", ["what", "rate"], [["copy memory", `${peaks.copyGbS.toFixed(1)} GB/s`], ...best]));
  for (const { work, kernels, measuredMs, boundMs } of report.works) {
    const measured = measuredMs === null ? "" : `${measuredMs.toFixed(2)} ms measured, `;
    const rows = kernels.map(({ kernel, launches, bytes, flops, ms, boundMs }) => [
      kernel,
      `${launches}`,
      ms.toFixed(3),
      (bytes / ms / 1e6).toFixed(1),
      // Counted of products of many rows and of attention alone.
      flops > 0 ? (flops / ms / 1e6).toFixed(1) : "",
      `${((100 * boundMs) / ms).toFixed(0)} %`,
    ]);
    const caption = `${described(work)}: ${measured}${boundMs.toFixed(2)} ms at the device's best rates`;
    shown.push(table(caption, ["kernel", "launches", "ms", "GB/s", "GFLOP/s", "of the best"], rows));
  }
  return shown;
}

function described(work: BenchReport["works"][number]["work"]): string {
  if (work.kind === "picture") return `A picture of ${work.side} x ${work.side} pixels`;
  return work.kind === "prompt" ? `A prompt of ${work.tokens} tokens` : `A token after ${work.tokens} others`;
}

function table(caption: string, heads: string[], rows: string[][]): HTMLElement {
  const cells = (tag: "th" | "td", texts: string[], attributes: Record<string, string> = {}) =>
    element("tr", {}, ...texts.map((text) => element(tag, attributes, text)));
  const head = element("thead", {}, cells("th", heads, { scope: "col" }));
  const body = element("tbody", {}, ...rows.map((row) => cells("td", row)));
  return element("div", { class: "table" }, element("table", {}, element("caption", {}, caption), head, body));
}

function download(report: object): HTMLElement {
  const file = new Blob([JSON.stringify(report, null, 2)], { type: "application/json" });
  const link = element("a", { class: "button", download: "ocelli-bench.json", id: "report" }, "Save the report");
  link.href = URL.createObjectURL(file);
  return link;
}
