/** Error messages: what went wrong and what to do next. */
import { OcelliError, type ErrorCode } from "../src/index.js";
import { element, find } from "./dom.js";

const box = find("problem", HTMLElement);

const ADVICE: Partial<Record<ErrorCode, { title: string; next: string }>> = {
  "webgpu-unavailable": {
    title: "This browser offers neither WebGPU nor the processor to the model.",
    next: "Use a current Chrome, Edge, Firefox or Safari, and open the page over https or from localhost.",
  },
  "limits-too-small": { title: "This GPU is too small for the model.", next: "Try another device, or close other pages that use the GPU." },
  "out-of-memory": { title: "The GPU has run out of memory.", next: "Close other pages that use it and reload this one." },
  "device-lost": { title: "The GPU was reset again and again.", next: "Ask once more, or reload this page." },
  "self-test-failed": {
    title: "This GPU computes wrongly, so no answer of it could be trusted.",
    next: "Update its driver, or try another browser or device.",
  },
  "invalid-image": { title: "That is not a picture this page can read.", next: "Try a PNG, JPEG or WebP file." },
  "image-too-large": { title: "That picture is too large to open safely.", next: "Scale it down and try again." },
  "context-overflow": { title: "The conversation is too long for the model.", next: "Start a new conversation." },
  integrity: {
    title: "The model was damaged on its way here, twice.",
    next: "The server's copy may be broken. Reload the page to try again.",
  },
  io: { title: "The model could not be fetched.", next: "Check the network connection and reload the page." },
  "invalid-checkpoint": {
    title: "These are not the files of a model that this page can read.",
    next: "Check the addresses or files: a GGUF file of Ministral 3, Mistral Small 3.1, Qwen3.5 or Qwen3-VL, its own mmproj file beside it.",
  },
  "unsupported-architecture": {
    title: "This model is of a family that Ocelli does not run.",
    next: "Choose a Ministral 3, Mistral Small 3.1, Qwen3.5 or Qwen3-VL model.",
  },
  "storage-full": { title: "There is no room to keep the model.", next: "Delete a stored model or free some disk space, then continue." },
  "invalid-package": { title: "The model's files do not fit together.", next: "Check the address after ?model=, or reload the page." },
};

/** Shows `thrown`; `subject` names what it is about, such as a file. */
export function showProblem(thrown: unknown, subject = ""): void {
  const code = thrown instanceof OcelliError ? thrown.code : "internal";
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const { title, next } = ADVICE[code] ?? { title: "Something went wrong.", next: "Try again, or reload the page." };
  box.replaceChildren(
    element("p", { class: "problem-title" }, subject ? `${subject}: ${title}` : title),
    element("p", {}, next),
    element("details", {}, element("summary", {}, "Details"), element("code", {}, `${code}: ${message}`)),
  );
  box.dataset["code"] = code;
}

export function clearProblem(): void {
  box.replaceChildren();
  delete box.dataset["code"];
}
