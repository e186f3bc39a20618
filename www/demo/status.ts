/** The line that tells how far loading is. */
import type { DeviceReport, LoadReport } from "../src/index.js";
import { announce, find } from "./dom.js";

const section = find("load", HTMLElement);
const text = find("load-text", HTMLElement);
const bar = find("load-bar", HTMLProgressElement);
let announcedQuarter = 0;

export function showReport(report: LoadReport): void {
  switch (report.kind) {
    case "progress":
      return showProgress(report);
    case "repaired":
      return announce(`A stored part of the model was damaged and has been fetched again: ${report.file}.`);
    case "warning":
      find("device", HTMLElement).textContent = report.message;
  }
}

function showProgress({ stage, loaded, total, cached }: Extract<LoadReport, { kind: "progress" }>): void {
  bar.removeAttribute("value");
  switch (stage) {
    case "manifest":
      text.textContent = "Looking for the model …";
      break;
    case "weights":
      text.textContent = `${cached ? "Reading the stored model" : "Downloading the model"}: ${megabytes(loaded)} of ${megabytes(total)}`;
      bar.max = total || 1;
      bar.value = loaded;
      announceQuarter(loaded, total);
      break;
    case "prepare":
      text.textContent = "Preparing the GPU …";
      break;
    case "ready":
      text.textContent = "Ready.";
  }
}

/** Every byte would be noise. */
function announceQuarter(loaded: number, total: number): void {
  const quarter = Math.floor((4 * loaded) / (total || 1));
  if (quarter <= announcedQuarter) return;
  announcedQuarter = quarter;
  announce(`Model ${25 * quarter} percent loaded`);
}

export function showReady(device: DeviceReport): void {
  section.hidden = true;
  find("device", HTMLElement).append(` Running on ${device.name || "your GPU"}.`);
  announce("The model is ready.");
}

export function showNotLoaded(): void {
  section.hidden = true;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
