/** Actions of a visitor on the demo page, and the visible results. */
import { until, type Tab } from "./driver.js";

export interface DroppedFile {
  /** The address of the bytes; without it `text` is the whole file. */
  from?: string;
  /** The browser re-encodes the picture as this type. */
  as?: "image/jpeg" | "image/webp";
  text?: string;
  name: string;
}

export async function openPage(tab: Tab, url: string): Promise<void> {
  await tab.goto(url);
  await until(tab, "the model is ready", () => document.querySelector<HTMLElement>("#load")?.hidden === true);
}

/** Drops files onto the page, all at once. */
export function drop(tab: Tab, ...files: DroppedFile[]): Promise<void> {
  return tab.run(async (files) => {
    const transfer = new DataTransfer();
    for (const { from, as, text, name } of files) {
      let blob = new Blob([text ?? ""]);
      if (from) blob = await (await fetch(from)).blob();
      if (as) {
        const bitmap = await createImageBitmap(blob);
        const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
        canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
        blob = await canvas.convertToBlob({ type: as, quality: 0.95 });
        if (blob.type !== as) throw new Error(`this browser does not encode ${as}`);
      }
      transfer.items.add(new File([blob], name, { type: as ?? "" }));
    }
    const target = document.getElementById("drop");
    target?.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
  }, files);
}

/** Waits for the answer after the first `before` ones, and returns its text. */
export async function nextAnswer(tab: Tab, before = 0): Promise<string> {
  const arrived = (before: number) => document.querySelectorAll("#log .turn.model").length > before;
  await until(tab, `answer ${before + 1}`, arrived, before);
  return tab.run((before) => document.querySelectorAll("#log .turn.model .words")[before]?.textContent ?? "", before);
}

/** Waits for the alert and returns its code and text. */
export async function problem(tab: Tab): Promise<{ code: string; text: string }> {
  await until(tab, "a problem is told", () => document.getElementById("problem")?.dataset["code"]);
  return tab.run(() => {
    const box = document.getElementById("problem");
    return { code: box?.dataset["code"] ?? "", text: box?.innerText ?? "" };
  });
}

export async function askByKeyboard(tab: Tab, question: string): Promise<void> {
  await tab.click("#question");
  await tab.type(question);
  await tab.press("Enter");
}

/** Asks a text of any length and lines at once. */
export function ask(tab: Tab, question: string): Promise<void> {
  return tab.run((question) => {
    const field = document.querySelector<HTMLTextAreaElement>("#question");
    if (!field) throw new Error("there is no question field");
    field.value = question;
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    field.form?.requestSubmit();
  }, question);
}

/** The names of the gallery's pictures. */
export function galleryFiles(tab: Tab): Promise<string[]> {
  return tab.run(async () => {
    const scenes = (await (await fetch("models/demo/gallery/gallery.json")).json()) as { file: string }[];
    return scenes.map(({ file }) => `models/demo/gallery/${file}`);
  });
}

/** Runs before the page's scripts: notes the workers that the page starts. */
export function noteWorkers(): void {
  const workers: Worker[] = [];
  window.Worker = class extends Worker {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(url, options);
      workers.push(this);
    }
  };
  Object.assign(window, { workers });
}

/** Ends the page's workers as an uncaught exception in each would. */
export function endWorkers(tab: Tab): Promise<void> {
  return tab.run(() => {
    for (const worker of (window as unknown as { workers: Worker[] }).workers) {
      worker.terminate();
      worker.dispatchEvent(new ErrorEvent("error", { message: "ended by a test" }));
    }
  });
}
