/** The report of a device as Markdown, to be pasted into an issue. */
import type { BenchMeasure, BenchReport, DeviceReport } from "../../src/index.js";
import type { Check } from "./checks.js";

/** All that a test found. It holds nothing of conversations or files. */
export interface Report extends BenchReport {
  device: DeviceReport;
  checks: Check[];
  loadMs: number;
  userAgent: string;
}

export const WHAT: Record<BenchMeasure["what"], string> = {
  first_token: "first token after loading",
  prompt: "prompt",
  decode: "decode, a token",
  drafts_of3: "decode, with 3 right drafts",
  drafts_of7: "decode, with 7 right drafts",
  together: "answers at once, a token",
  picture: "picture encoded",
  picture_to_first_token: "picture to first token",
};

export function mark(isOk: boolean): string {
  return isOk ? "✓" : "✗";
}

export function deviceName({ name, driver, threads }: DeviceReport): string {
  const said = [name || "a GPU that the browser does not name", driver].filter(Boolean).join(", ");
  return threads === undefined ? said : `${said}, ${threads} threads`;
}

/** Milliseconds of a step. */
export function shownMs({ what, medianMs, steps }: BenchMeasure): number {
  return what === "decode" ? medianMs / steps : medianMs;
}

/** A summary, with all figures as JSON after it. */
export function markdown(report: Report): string {
  const { device, model, quantization, kv, checks, measures, peaks } = report;
  const rows = checks.map(({ name, isOk, detail }) => `| ${name} | ${mark(isOk)} | ${detail} |`);
  const times = measures.map((measure) => `| ${WHAT[measure.what]} | ${measure.size} | ${shownMs(measure).toFixed(1)} |`);
  const launch = peaks?.launch ? ` Launch: ${(1e3 * peaks.launch.deviceMs).toFixed(1)} us.` : "";
  const best = peaks
    ? [
        `Copy: ${peaks.copyGbS.toFixed(1)} GB/s.${launch} ${peaks.arithmetic.map(({ numbers, gops }) => `${numbers}: ${gops.toFixed(0)} GOP/s`).join(", ")}.`,
      ]
    : [];
  return [
    `**${deviceName(device)}** (${device.backend}, ${device.class})`,
    `Browser: ${report.userAgent}`,
    `Ocelli ${report.version}, ${model} (${quantization}, KV cache ${kv}), loaded in ${(report.loadMs / 1e3).toFixed(1)} s`,
    ["| check | | |", "|---|---|---|", ...rows].join("\n"),
    ["| what | size | ms |", "|---|---|---|", ...times].join("\n"),
    ...best,
    `<details><summary>All figures</summary>\n\n\`\`\`json\n${JSON.stringify(report)}\n\`\`\`\n\n</details>`,
  ].join("\n\n");
}
