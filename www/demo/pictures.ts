/** Pictures from drop, paste and the file input; shown in a tray until they are part of a question. */
import { button, element, find } from "./dom.js";

/** A picture of a question. Its object URL is valid as long as the conversation shows it. */
export interface AttachedPicture {
  name: string;
  blob: Blob;
  previewUrl: string;
}

const tray = find("tray", HTMLElement);
const dropZone = find("drop", HTMLElement);
const fileInput = find("files", HTMLInputElement);
let attached: AttachedPicture[] = [];

export function attach(blob: Blob, name: string): void {
  attached.push({ name, blob, previewUrl: URL.createObjectURL(blob) });
  showTray();
}

/** Removes and returns all pictures. */
export function takeAttached(): AttachedPicture[] {
  const taken = attached;
  attached = [];
  showTray();
  return taken;
}

export function hasAttached(): boolean {
  return attached.length > 0;
}

export function preview(picture: AttachedPicture): HTMLImageElement {
  return element("img", { src: picture.previewUrl, alt: picture.name });
}

/** Calls `onFiles` with all files that the user gives, pictures or not: the engine finds out. */
export function listenForFiles(onFiles: (files: File[]) => void): void {
  fileInput.addEventListener("change", () => {
    onFiles(Array.from(fileInput.files ?? []));
    fileInput.value = "";
  });
  document.addEventListener("paste", ({ clipboardData }) => {
    const files = Array.from(clipboardData?.files ?? []);
    if (files.length > 0) onFiles(files);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    dropZone.classList.add("over");
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => {
    if (!relatedTarget) dropZone.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    dropZone.classList.remove("over");
    const files = Array.from(event.dataTransfer?.files ?? []);
    if (files.length > 0) onFiles(files);
  });
}

function showTray(): void {
  tray.replaceChildren(...attached.map(trayItem));
}

function trayItem(picture: AttachedPicture): HTMLLIElement {
  const remove = button("✕", { class: "remove", "aria-label": `Remove ${picture.name}` }, () => {
    attached = attached.filter((other) => other !== picture);
    URL.revokeObjectURL(picture.previewUrl);
    showTray();
  });
  return element("li", {}, preview(picture), remove);
}
