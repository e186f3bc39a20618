/** Model files that the user gives: told from pictures, and sorted into the model and its eyes. */
import { button, element, find } from "./dom.js";
import { bytes } from "./numbers.js";

const list = find("given-files", HTMLElement);
const load = find("load-files", HTMLButtonElement);
const input = find("model-files", HTMLInputElement);

interface Given {
  text: File | null;
  mmproj: File | null;
}

let given: Given = { text: null, mmproj: null };

/** A GGUF file says so in its first four bytes; whatever is called one is meant as one. */
export async function isModelFile(file: File): Promise<boolean> {
  if (/\.gguf$/i.test(file.name)) return true;
  return (await file.slice(0, 4).text()) === "GGUF";
}

/** `onLoad` gets the files once the user agrees; `onGiven` is called when some arrived. */
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

/** Shows what was given, beside what was given before. */
export async function takeModelFiles(files: File[]): Promise<void> {
  for (const file of files) {
    if (await hasEyes(file)) given.mmproj = file;
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
  const name = element("dd", {}, file ? `${file.name}, ${bytes(file.size)}` : absent);
  const remove = button("Remove", { class: "quiet", "aria-label": `Remove ${file?.name ?? ""}` }, () => {
    forget();
    show();
  });
  if (file) name.append(remove);
  return [element("dt", {}, what), name];
}

/** A vision half is of the architecture `clip`, which is one of the first things that it says. */
async function hasEyes(file: File): Promise<boolean> {
  const start = await file.slice(0, 4096).text();
  const said = /general\.architecture[\s\S]{12}(\w+)/.exec(start)?.[1] ?? "";
  return said === "" ? /mmproj/i.test(file.name) : said.startsWith("clip");
}
