/** Model files that the user gives: told from pictures, and sorted into text model and vision tower. */
import { signal } from "@preact/signals-core";

export interface ModelFiles {
  text: File | null;
  mmproj: File | null;
}

const NONE: ModelFiles = { text: null, mmproj: null };

/** The files given so far. */
export const modelFiles = signal<ModelFiles>(NONE);

/** By the file's first four bytes, or by its name, so that a damaged model file is reported as such. */
export async function isModelFile(file: File): Promise<boolean> {
  if (/\.gguf$/i.test(file.name)) return true;
  return (await file.slice(0, 4).text()) === "GGUF";
}

/** Adds files to those given before. */
export async function takeModelFiles(files: readonly File[]): Promise<void> {
  for (const file of files) {
    const part = (await isVisionTower(file)) ? { mmproj: file } : { text: file };
    modelFiles.value = { ...modelFiles.value, ...part };
  }
}

export function forgetModelFiles(): void {
  modelFiles.value = NONE;
}

/** Its architecture is `clip`, which is among the first metadata of the file. */
async function isVisionTower(file: File): Promise<boolean> {
  const start = await file.slice(0, 4096).text();
  const architecture = /general\.architecture[\s\S]{12}(\w+)/.exec(start)?.[1] ?? "";
  return architecture === "" ? /mmproj/i.test(file.name) : architecture.startsWith("clip");
}
