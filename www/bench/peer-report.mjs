/** Medians and ratios of the measurements of `peer.mjs`. */

const LABELS = { ocelli: "Ocelli", webgpu: "onnxruntime-web, WebGPU", wasm: "onnxruntime-web, CPU wasm" };
const WITH_THREADS = { cpu: "Ocelli, processor", wllama: "wllama" };

function labelOf(name) {
  const [kind, threads] = name.split(" ");
  return LABELS[name] ?? `${WITH_THREADS[kind]}, threads: ${threads}`;
}

/** The contestant that others are compared with: Ocelli on the processor with most threads, else on the GPU. */
const referenceOf = (names) => names.findLast((name) => name.startsWith("cpu ")) ?? "ocelli";

/** One row per measure: seconds by contestant, and their ratios to those of the reference. */
export function summary({ samples, prompt, opened }) {
  const rows = [];
  for (const what of new Set(samples.map((sample) => sample.what))) {
    const of = samples.filter((sample) => sample.what === what);
    const label = what === "decode" ? "a token" : what === "prompt" ? `prompt of ${prompt} tokens` : `${what} x ${what.split(" ")[1]}`;
    const reference = referenceOf(Object.keys(opened));
    rows.push(row(label, of, "seconds", reference));
    const told = of.filter(({ processors }) => processors !== null);
    if (told.length) rows.push(row(`${label}: processors`, told, "processors", reference));
  }
  // The same weights: where the two differ, one of them is wrong on this device.
  const said = (name) => samples.filter((sample) => sample.name === name && sample.round === 0).map((sample) => sample.said);
  const agrees = opened.webgpu && opened.wasm ? said("webgpu").join() === said("wasm").join() : null;
  const prefill = rows.find(({ what }) => what.startsWith("prompt of"))?.seconds.ocelli;
  const { firstTokenSeconds } = opened.ocelli ?? {};
  const start = firstTokenSeconds && prefill ? { firstTokenSeconds, prefillSeconds: prefill, ratio: firstTokenSeconds / prefill } : null;
  return { rows, start, agrees };
}

function row(what, samples, field, reference) {
  const names = [...new Set(samples.map(({ name }) => name))];
  const values = (name) => samples.filter((sample) => sample.name === name).map((sample) => sample[field]);
  const seconds = Object.fromEntries(names.map((name) => [name, median(values(name))]));
  const range = Object.fromEntries(names.map((name) => [name, [Math.min(...values(name)), Math.max(...values(name))]]));
  const times = Object.fromEntries(names.map((name) => [name, seconds[name] / seconds[reference]]));
  return { what, rounds: samples.length / names.length, seconds, range, times };
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The report in Markdown. */
export function table({ began, ended, browser, opened, models, summary: { rows, start, agrees } }) {
  const names = Object.keys(opened);
  const devices = names.map((name) => opened[name].device).filter(Boolean);
  const version = opened.webgpu?.version ?? opened.wasm?.version;
  const lines = [
    `${began.date.slice(0, 16).replace("T", " ")} UTC, ${browser}, ${devices.join("; ")}; ${began.processors} x ${began.processor},`,
    `load ${began.load.toFixed(1)} before, ${ended.load.toFixed(1)} after; onnxruntime-web ${version} with ${models.join(" and ")}.`,
    "Medians, ranges in brackets.",
    "",
    `| seconds | rounds | ${names.map(labelOf).join(" | ")} |`,
    `|---|---|${names.map(() => "---|").join("")}`,
  ];
  for (const { what, rounds, seconds, range, times } of rows) {
    const cell = (name) => {
      if (!(name in seconds)) return "";
      const ratio = name === referenceOf(names) || !(times[name] > 0) ? "" : `, ${times[name].toFixed(2)} x`;
      return `${number(seconds[name])} (${range[name].map(number).join(" to ")})${ratio}`;
    };
    lines.push(`| ${what} | ${rounds} | ${names.map(cell).join(" | ")} |`);
  }
  if (start) {
    const { firstTokenSeconds, prefillSeconds, ratio } = start;
    const { loadSeconds, selfTestSeconds } = opened.ocelli;
    lines.push("", `Ocelli was loaded in ${number(loadSeconds)} s, ${number(selfTestSeconds)} of them the self-test of its kernels.`);
    lines.push(
      `The first token came ${number(firstTokenSeconds)} s after the last shard: ${ratio.toFixed(2)} x the ${number(prefillSeconds)} s of the same prompt later.`,
    );
  }
  if (agrees !== null) lines.push("", `onnxruntime-web answers ${agrees ? "the same" : "differently"} with WebGPU and on the CPU.`);
  return `${lines.join("\n")}\n`;
}

function number(value) {
  return value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toFixed(3);
}
