import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Report } from "../page/bench/report.js";
import type { BenchReport, Engine } from "../src/index.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

inBrowsers("bench", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("the page tests kernels and known answers, times the demo model, and offers the report as text and as a file", async () => {
    await tab.goto(`${site.url}bench.html?device=gpu`);
    await tab.run(() => (document.getElementById("start") as HTMLButtonElement).click());
    await until(tab, "the report is there", () => document.getElementById("report") !== null);
    const { report, text } = await tab.run(async () => {
      const link = document.getElementById("report") as HTMLAnchorElement;
      const report = (await (await fetch(link.href)).json()) as Report;
      return { report, text: document.getElementById("result")?.textContent ?? "" };
    });
    const [first] = report.measures;
    assert.equal(first?.what, "first_token");
    for (const { times, medianMs } of report.measures) assert.ok(times.includes(medianMs) && medianMs > 0);
    assert.ok(report.peaks && report.peaks.copyGbS > 0 && report.peaks.arithmetic.every(({ gops }) => gops > 0));
    const kinds = report.works.map(({ work }) => work.kind);
    assert.deepEqual(kinds, ["decode", "prompt", "picture"]);
    for (const { kernels, boundMs } of report.works) {
      assert.ok(kernels.every(({ launches, ms, boundMs }) => launches > 0 && ms > 0 && boundMs > 0));
      const sum = kernels.reduce((sum, kernel) => sum + kernel.boundMs, 0);
      assert.ok(Math.abs(sum - boundMs) < 1e-6 * boundMs);
      for (const { kernel } of kernels) assert.ok(text.includes(kernel), kernel);
    }
    assert.ok(report.loadMs > 0);
    const checks = report.checks.map(({ name, isOk }) => [name, isOk]);
    // No speed is expected of an emulated GPU.
    assert.deepEqual(checks, [
      ["Kernels", true],
      ["Known answers", true],
    ]);
    const shown = await tab.run(() => (document.getElementById("markdown") as HTMLTextAreaElement).value);
    assert.match(shown, /\| Known answers \| ✓ \| 3 of 3 pictures/);
    const json = /```json\n(.*)\n```/.exec(shown)?.[1] ?? "";
    assert.deepEqual(JSON.parse(json), report);
  });

  test("a wrong kernel and a wrong answer are told", async () => {
    const { selfTestCheck, speedChecks } = await import("../page/bench/checks.js");
    const selfTest = { passed: 9, failed: [{ kernel: "matvec<q4_0,1>", tier: "subgroups", detail: "" }], earlier: false };
    const { isOk, detail } = selfTestCheck({ selfTest } as unknown as Engine["device"]);
    assert.deepEqual([isOk, detail], [false, "9 kernels compute correctly; replaced: matvec<q4_0,1> (subgroups)"]);
    const works = [{ work: { kind: "decode", tokens: 1 }, measuredMs: 10, boundMs: 2, kernels: [] }];
    const told = speedChecks({ works, device: { class: "hardware" } } as unknown as BenchReport);
    assert.deepEqual(told, [{ name: "Speed of a token", isOk: false, detail: "20 % of the device's best rate; 50 % are expected" }]);
    const small = [{ work: { kind: "decode", tokens: 1 }, measuredMs: 1.2, boundMs: 0.06, kernels: [] }];
    assert.deepEqual(speedChecks({ works: small, device: { class: "hardware" } } as unknown as BenchReport), []);
  });

  test("sizes that do not fit are skipped, and an abort ends the benchmark", async () => {
    const { lines, kinds, error } = await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const parts = { workerUrl: "/bench-worker.js", wasmUrl: "/ocelli/wasm/ocelli_bench_bg.wasm" };
      const engine = await Engine.load("/packages/untied-q4_0/", { ...parts, context: 96 });
      const lines: string[] = [];
      const onFigure = (line: string) => void lines.push(line);
      const options = { decode: [16, 5000], prefill: [], pictures: [], rounds: 1, tokens: 4 };
      const report = await engine.bench(options, { onFigure });
      const error = await engine.bench(options, { signal: AbortSignal.timeout(1) }).catch((thrown: unknown) => (thrown as Error).name);
      engine.unload();
      return { lines, kinds: report.works.map(({ work }) => work.kind), error };
    });
    assert.ok(lines.some((line) => line.includes("decode 5000: no room")));
    assert.deepEqual(kinds, ["decode"]);
    assert.equal(error, "TimeoutError");
  });
});
