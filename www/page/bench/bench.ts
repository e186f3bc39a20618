/** The page that tests the visitor's device: its kernels, known answers, and the speed of a model. It offers a report to copy or to save. */
import { Engine, OcelliError, type BenchOptions, type BenchReport } from "../../src/index.js";
import { askedDevice } from "../state/device.js";
import { answersCheck, selfTestCheck, speedChecks, type Check } from "./checks.js";
import { button, element, find } from "./dom.js";
import { deviceName, mark, markdown, shownMs, WHAT, type Report } from "./report.js";

const QUICK: BenchOptions = { decode: [128], prefill: [128], pictures: [448], rounds: 1, tokens: 8, patienceMs: 20_000 };
const FULL: BenchOptions = { decode: [128, 1024, 4096], prefill: [512, 2048], pictures: [448, 1036], rounds: 3, tokens: 16 };
/** The parts of the engine that have the benchmark. */
const BENCH_PARTS = { workerUrl: "bench-worker.js", wasmUrl: "ocelli/wasm/ocelli_bench_bg.wasm" };
/** Tokens of context beyond the longest that is timed. */
const RESERVE = 32;

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
    const address = new URL(find("package", HTMLInputElement).value, location.href);
    engine = await Engine.load(address, { ...BENCH_PARTS, ...wanted });
    const loadMs = performance.now() - began;
    tell(`loaded: ${loadMs.toFixed(0)} ms`);
    const checks = [selfTestCheck(engine.device)];
    const answers = await answersCheck(engine, address, controller.signal);
    if (answers) checks.push(answers);
    for (const { name, detail } of checks) tell(`${name}: ${detail}`);
    const measured = await engine.bench(options, { signal: controller.signal, onFigure: tell });
    checks.push(...speedChecks(measured));
    const report = { ...measured, device: engine.device, checks, loadMs, userAgent: navigator.userAgent };
    result.replaceChildren(...tables(report), ...offers(report));
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

function tables(report: Report): HTMLElement[] {
  const { device, model, quantization, kv, peaks, checks } = report;
  const shown: HTMLElement[] = [element("p", {}, `${model} (${quantization}, cache ${kv}) on ${deviceName(device)}`), verdict(checks)];
  const measures = report.measures.map((measure) => {
    const rate = measure.steps > 1 ? `${((1e3 * measure.steps) / measure.medianMs).toFixed(1)} tokens/s` : "";
    const size = `${measure.size} ${measure.what === "picture" ? "pixels" : "tokens"}`;
    return [WHAT[measure.what], size, shownMs(measure).toFixed(1), rate];
  });
  shown.push(table("Requests", ["what", "size", "ms", "rate"], measures));
  if (!peaks) return shown;
  const best = peaks.arithmetic.map(({ numbers, gops }) => [`multiply and add ${NUMBERS[numbers]}`, `${gops.toFixed(1)} GOP/s`]);
  const launch = peaks.launch ? [["launch a kernel", `${(1e3 * peaks.launch.deviceMs).toFixed(1)} us`]] : [];
  const copy = ["copy memory", `${peaks.copyGbS.toFixed(1)} GB/s`];
  shown.push(table("The device at best", ["what", "rate"], [copy, ...launch, ...best]));
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

function verdict(checks: Check[]): HTMLElement {
  const isOk = checks.every((check) => check.isOk);
  const words = isOk ? "This device computes correctly." : "Something is not as it should be. A report helps to find out why.";
  const rows = checks.map(({ name, isOk, detail }) => [`${mark(isOk)} ${name}`, detail]);
  return element(
    "div",
    { id: "checks" },
    element("p", { class: isOk ? "" : "problem" }, words),
    table("Checks", ["check", "result"], rows),
  );
}

/** Ways to pass the report on: copied as Markdown, or saved as a file. Nothing is sent. */
function offers(report: Report): HTMLElement[] {
  const text = markdown(report);
  const area = element("textarea", { id: "markdown", readonly: "", rows: "8", "aria-label": "The report, to be pasted into an issue" });
  area.value = text;
  const copy = button("Copy the report", { class: "button", id: "copy" }, () => {
    area.select();
    void navigator.clipboard?.writeText(text).then(() => (copy.textContent = "Copied"));
  });
  const file = new Blob([JSON.stringify(report, null, 2)], { type: "application/json" });
  const save = element("a", { class: "button", download: "ocelli-device.json", id: "report" }, "Save all figures");
  save.href = URL.createObjectURL(file);
  const note =
    "It names the device, its driver and the browser, and holds times; nothing of conversations or files. Paste it into an issue.";
  return [element("h2", {}, "Report"), element("p", {}, note), area, copy, save];
}
