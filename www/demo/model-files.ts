/** Model files that the user gives: told from pictures, and sorted into text model and vision tower. */
import { readableBytes } from "../src/store/quota.js";
import { button, element, find } from "./dom.js";

const list = find("given-files", HTMLElement);
const load = find("load-files", HTMLButtonElement);
const input = find("model-files", HTMLInputElement);

interface ModelFiles {
  text: File | null;
  mmproj: File | null;
}

let given: ModelFiles = { text: null, mmproj: null };

/** By the file's first four bytes, or by its name, so that a damaged model file is reported as such. */
export async function isModelFile(file: File): Promise<boolean> {
  if (/\.gguf$/i.test(file.name)) return true;
  return (await file.slice(0, 4).text()) === "GGUF";
}

/** `onGiven` is called when the user gives files, `onLoad` when the user asks to load them. */
export function listenForModelFiles(onGiven: (files: File[]) => void, onLoad: (text: File, mmproj: File | null) => void): void {
  input.addEventListener("change", () => {
    onGiven(Array.from(input.files ?? []));
    input.value = "";
  });
  load.addEventListener("click", () => {
    const { text, mmproj } = given;
    if (text) onLoad(text, mmproj);
  });
}

/** Adds files to those given before. */
export async function takeModelFiles(files: File[]): Promise<void> {
  for (const file of files) {
    if (await isVisionTower(file)) given.mmproj = file;
    else given.text = file;
  }
  show();
}

export function forgetModelFiles(): void {
  given = { text: null, mmproj: null };
  show();
}

function show(): void {
  const { text, mmproj } = given;
  list.hidden = !text && !mmproj;
  load.hidden = !text;
  list.replaceChildren(
    ...entry("Model", text, "not given yet: the GGUF file with the words", () => (given.text = null)),
    ...entry("Vision (mmproj)", mmproj, "not given: the model will not see pictures", () => (given.mmproj = null)),
  );
}

function entry(what: string, file: File | null, absent: string, forget: () => void): HTMLElement[] {
  const name = element("dd", {}, file ? `${file.name}, ${readableBytes(file.size)}` : absent);
  const remove = button("Remove", { class: "quiet", "aria-label": `Remove ${file?.name ?? ""}` }, () => {
    forget();
    show();
  });
  if (file) name.append(remove);
  return [element("dt", {}, what), name];
}

/** Its architecture is `clip`, which is among the first metadata of the file. */
async function isVisionTower(file: File): Promise<boolean> {
  const start = await file.slice(0, 4096).text();
  const architecture = /general\.architecture[\s\S]{12}(\w+)/.exec(start)?.[1] ?? "";
  return architecture === "" ? /mmproj/i.test(file.name) : architecture.startsWith("clip");
}
