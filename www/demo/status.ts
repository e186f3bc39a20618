/** The line that shows the progress of loading. */
import type { DeviceReport, LoadReport } from "../src/index.js";
import { readableBytes } from "../src/store/quota.js";
import { announce, find } from "./dom.js";
import { gpuWords, processorWords } from "./device.js";
import { duration, Rate } from "./rate.js";

const section = find("load", HTMLElement);
const text = find("load-text", HTMLElement);
const bar = find("load-bar", HTMLProgressElement);
const cancel = find("load-cancel", HTMLButtonElement);
let announcedQuarter = 0;
let rate = new Rate();
/** The current stage, and the progress of kernels that are compiled at the same time. */
let line = "";
let kernels = "";

/** Shows that loading starts, with a cancel button if `onCancel` is given. */
export function showLoading(onCancel: (() => void) | null): void {
  section.hidden = false;
  find("device", HTMLElement).textContent = "";
  line = "Starting …";
  text.textContent = line;
  bar.removeAttribute("value");
  announcedQuarter = 0;
  rate = new Rate();
  kernels = "";
  cancel.hidden = onCancel === null;
  cancel.onclick = onCancel;
}

export function showReport(report: LoadReport): void {
  switch (report.kind) {
    case "progress":
      return showProgress(report);
    case "repaired":
      return announce(`A stored part of the model was damaged and has been fetched again: ${report.file}.`);
    case "warning":
      // The line about the device says why no GPU is used.
      if (report.code !== "gpu-not-used") find("device", HTMLElement).textContent = report.message;
  }
}

type LoadProgress = Extract<LoadReport, { kind: "progress" }>;

function showProgress(report: LoadProgress): void {
  const { stage, loaded, total } = report;
  if (stage === "kernels") {
    kernels = loaded < total ? ` · Preparing kernels: ${loaded} of ${total}` : "";
  } else {
    bar.removeAttribute("value");
    line = lineOf(report);
  }
  text.textContent = line + kernels;
}

function lineOf({ stage, loaded, total, cached }: LoadProgress): string {
  switch (stage) {
    case "manifest":
      return "Looking for the model …";
    case "import":
      return `Reading and converting the model: ${byteProgress(loaded, total)}`;
    case "weights":
      return `${cached ? "Reading the stored model" : "Downloading the model"}: ${byteProgress(loaded, total)}`;
    case "kernels":
    case "prepare":
      return "Preparing the model …";
    case "ready":
      return "Ready.";
  }
}

/** In bytes, with speed and remaining time. */
function byteProgress(loaded: number, total: number): string {
  bar.max = total || 1;
  bar.value = loaded;
  announceQuarter(loaded, total);
  const speed = rate.add(loaded);
  const pace = speed ? `, ${readableBytes(speed)} a second, ${duration((total - loaded) / speed)} left` : "";
  return `${readableBytes(loaded)} of ${readableBytes(total)}${pace}`;
}

/** Screen readers are told at every quarter only. */
function announceQuarter(loaded: number, total: number): void {
  const quarter = Math.floor((4 * loaded) / (total || 1));
  if (quarter <= announcedQuarter) return;
  announcedQuarter = quarter;
  announce(`Model ${25 * quarter} percent loaded`);
}

export function showReady(device: DeviceReport): void {
  section.hidden = true;
  find("device", HTMLElement).append(` Running on ${wordsOf(device)}.`);
  announce("The model is ready.");
}

function wordsOf({ name, class: kind, threads, reason }: DeviceReport): string {
  if (kind !== "processor") return gpuWords(name, kind !== "hardware");
  return processorWords(threads) + (reason ? `, because ${reason}` : "");
}

export function showNotLoaded(): void {
  section.hidden = true;
}
