/** The lists of models: those to choose from, those that are stored, and imports that can be continued. */
import {
  Engine,
  interruptedImports,
  packages,
  type CheckReason,
  type DeviceCheck,
  type InterruptedImport,
  type ModelCheck,
} from "../src/index.js";
import { readableBytes } from "../src/store/quota.js";
import { deviceWords } from "./device.js";
import { DEMO, isDemo, nameOf, type Choice } from "./model-choice.js";
import { announce, button, element, find } from "./dom.js";
import { duration } from "./rate.js";

export type OnChoose = (choice: Choice) => void;

/** Shows which model answers. */
export function showCurrent(choice: Choice): void {
  find("model-name", HTMLElement).textContent = choice.name;
  find("demo-scope", HTMLElement).hidden = !isDemo(choice);
  find("gallery", HTMLElement).hidden = !isDemo(choice);
}

/** Fills all lists. */
export async function showChoices(current: Choice | null, onChoose: OnChoose): Promise<void> {
  const [check, interrupted] = await Promise.all([Engine.check(), interruptedImports().catch(() => [])]);
  const redraw = () => void showChoices(current, onChoose);
  find("room", HTMLElement).textContent = deviceLine(check);
  const cards = [
    demoCard(current, onChoose),
    ...check.models.map((model) => card(model, { current, interrupted, onChoose, ofDevice: check.reasons })),
  ];
  find("known", HTMLElement).replaceChildren(...cards);
  find("interrupted", HTMLElement).replaceChildren(...interrupted.map((entry) => notice(entry, onChoose, redraw)));
  await showStored(interrupted, current, onChoose, redraw);
}

function demoCard(current: Choice | null, onChoose: OnChoose): HTMLElement {
  const isUsed = current !== null && isDemo(current);
  const label = isUsed ? "In use" : "Use";
  const use = button(label, { "aria-label": `${label}: demo model` }, () => onChoose(DEMO));
  use.disabled = isUsed;
  const about = "Comes with this page. Tiny: it knows generated scenes of coloured shapes and short words, nothing else.";
  return element(
    "li",
    {},
    element("h3", {}, "Demo model"),
    element("p", {}, about),
    element("p", { class: "fine" }, "Nothing more to download."),
    use,
  );
}

/** The device that models would run on, the room in the browser's storage, and facts that the browser does not tell. */
function deviceLine({ device, freeBytes: free, reasons }: DeviceCheck): string {
  const on = device ? `Models run on ${deviceWords(device.name, device.isSoftware)}.` : "Models run on this computer's processor.";
  const room = free !== null && `This browser has room for ${readableBytes(free)}. It does not tell how much memory the GPU has.`;
  return [on, ...reasons.map(({ message }) => message), room].filter(Boolean).join(" ");
}

interface CardContext {
  current: Choice | null;
  interrupted: InterruptedImport[];
  onChoose: OnChoose;
  /** Remarks that apply to all models. */
  ofDevice: CheckReason[];
}

function card(check: ModelCheck, { current, interrupted, onChoose, ofDevice }: CardContext): HTMLElement {
  const { model, fits, reasons, isStored, downloadBytes, gpuMemory, loadSeconds, alternatives } = check;
  const { name, about, license, packageBytes, source } = model;
  const isUsed = current?.name === name;
  const begun = interrupted.some((entry) => JSON.stringify(entry.source) === JSON.stringify(source));
  const time = loadSeconds.first === null ? "" : `, ${duration(loadSeconds.first)} until it is ready`;
  const { downloadEstimate: estimate } = model;
  const unknown = estimate === undefined ? "size unknown" : `about ${readableBytes(estimate)} (estimated)`;
  const download = isStored ? "none, this browser has it" : downloadBytes === null ? unknown : readableBytes(downloadBytes);
  const facts = [
    `Licence: ${license}`,
    `Download: ${download}${time}`,
    `Storage: ${readableBytes(packageBytes)}`,
    `GPU memory: ${readableBytes(gpuMemory.all)}, or less at the cost of speed: at least ${readableBytes(gpuMemory.least)}`,
  ];
  const label = isUsed ? "In use" : begun ? "Continue" : "Use";
  const use = button(label, { "aria-label": `${label}: ${name}` }, () => onChoose({ name, source }));
  use.disabled = isUsed || !fits;
  const item = element("li", {}, element("h3", {}, name), element("p", {}, about), element("ul", { class: "facts" }));
  item.querySelector("ul")?.append(...facts.map((fact) => element("li", {}, fact)));
  const own = reasons.filter((reason) => !ofDevice.includes(reason));
  item.append(...own.map(({ message }) => element("p", { class: "unfit" }, message)));
  if (!fits && alternatives.length > 0) item.append(element("p", { class: "fine" }, `These fit: ${alternatives.join(", ")}.`));
  const verdict = ofDevice.length > 0 ? "Runs on this device, slowly." : "Fits this device, as far as the browser tells.";
  if (fits && own.length === 0) item.append(element("p", { class: "fine" }, verdict));
  item.append(use);
  return item;
}

/** An import that can be continued; without asking the user only if its files have addresses. */
function notice({ source, url, loaded, total, options }: InterruptedImport, onChoose: OnChoose, redraw: () => void): HTMLElement {
  const name = nameOf(source);
  const percent = Math.floor((100 * loaded) / (total || 1));
  const files = Object.values(source).filter((place): place is { file: string; bytes: number } => typeof place === "object");
  const words = element("p", {}, `${name} is ${percent} % imported (${readableBytes(loaded)} of ${readableBytes(total)}). `);
  const discard = button(
    "Discard",
    { class: "quiet", "aria-label": `Discard what is imported of ${name}` },
    () => void packages.delete(url).then(redraw),
  );
  if (files.length > 0 || Object.keys(options).length > 0) {
    words.append(`To continue, give the same files again: ${files.map(({ file }) => file).join(", ")}.`);
    return element("div", { class: "notice" }, words, discard);
  }
  const resume = button("Continue", { "aria-label": `Continue importing ${name}` }, () =>
    onChoose({ name, source: source as Choice["source"] }),
  );
  return element("div", { class: "notice" }, words, resume, discard);
}

async function showStored(interrupted: InterruptedImport[], current: Choice | null, onChoose: OnChoose, redraw: () => void): Promise<void> {
  const stored = await packages.list().catch(() => []);
  const items = stored.map(({ url, name, bytes: size, complete }) => {
    const begun = interrupted.find((entry) => entry.url === url);
    const shown = url === DEMO.source ? "Demo model" : begun ? nameOf(begun.source) : name;
    const words = element("span", {}, `${shown}, ${readableBytes(size)}${complete ? "" : ", not complete"}`);
    const isUsed = current?.source === url || current?.name === shown;
    const use = button("Use", { class: "quiet", "aria-label": `Use ${shown}` }, () => onChoose({ name: shown, source: url }));
    use.disabled = !complete || isUsed;
    const remove = button("Delete", { class: "quiet", "aria-label": `Delete ${shown}` }, () => {
      void packages.delete(url).then(() => {
        announce(`${shown} is deleted.`);
        redraw();
      });
    });
    return element("li", {}, words, use, remove);
  });
  find("stored", HTMLElement).replaceChildren(...items);
  find("stored-section", HTMLElement).hidden = items.length === 0;
}
