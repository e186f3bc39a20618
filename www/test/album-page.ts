/** Actions of a visitor on albums, and what is kept of them. */
import { until, type Tab } from "./driver.js";

/** A row as it is kept. */
export interface KeptRow {
  id: string;
  path: string;
  state: string;
  alt: string;
  long: string;
  had: string | null;
  flags: string[];
  isDecorative: boolean;
  maybeDecorative: boolean;
  isByHand: boolean;
  error: { code: string } | null;
}

/** Runs before the page's scripts: the folder that the user picks lies in the origin's own files, and downloads are noted. */
export function stubFiles(): void {
  const folder = async () => (await navigator.storage.getDirectory()).getDirectoryHandle("Holiday", { create: true });
  const saved: { name: string; blob: Blob }[] = [];
  const { createObjectURL } = URL;
  const { click } = HTMLAnchorElement.prototype;
  const blobs = new Map<string, Blob>();
  URL.createObjectURL = (blob: Blob) => {
    const url = createObjectURL(blob);
    blobs.set(url, blob);
    return url;
  };
  HTMLAnchorElement.prototype.click = function () {
    const blob = blobs.get(this.href);
    if (blob) saved.push({ name: this.download, blob });
    else click.call(this);
  };
  Object.assign(window, { showDirectoryPicker: folder, saved });
}

/** Writes files into the folder: texts, or files of the site. */
export function fill(tab: Tab, files: Record<string, string | { from: string } | { bytes: number[] }>): Promise<void> {
  return tab.run(async (files) => {
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("Holiday", { create: true });
    for (const [path, content] of Object.entries(files)) {
      const parts = path.split("/");
      const name = parts.pop() ?? "";
      let at = root;
      for (const part of parts) at = await at.getDirectoryHandle(part, { create: true });
      const stream = await (await at.getFileHandle(name, { create: true })).createWritable();
      const data =
        typeof content === "string"
          ? content
          : "from" in content
            ? await (await fetch(content.from)).blob()
            : new Uint8Array(content.bytes);
      await stream.write(data);
      await stream.close();
    }
  }, files);
}

/** Makes an album of the folder, and opens it. */
export async function makeAlbum(tab: Tab): Promise<void> {
  await tab.run(() => (location.hash = "#/albums"));
  await until(tab, "the list of albums", () => document.getElementById("new-album-open") !== null);
  await tab.click("#new-album-open");
  await until(tab, "the dialog", () => document.querySelector<HTMLDialogElement>("#new-album")?.open);
  await tab.click("#album-folder");
  await until(tab, "the folder is read", () => document.querySelector<HTMLButtonElement>("#album-make")?.disabled === false);
  await tab.click("#album-make");
  await until(tab, "the album is open", () => document.getElementById("album-rows") !== null);
}

export function keptRows(tab: Tab): Promise<KeptRow[]> {
  return tab.run(async () => {
    const open = indexedDB.open("ocelli");
    await new Promise((resolve) => (open.onsuccess = resolve));
    const all = open.result.transaction("albumRows").objectStore("albumRows").getAll();
    await new Promise((resolve) => (all.onsuccess = resolve));
    open.result.close();
    return (all.result as (KeptRow & { order: number })[]).sort((one, other) => one.order - other.order);
  });
}

/** Waits until no row waits any more. */
export const written = (tab: Tab, rows: number): Promise<void> =>
  until(
    tab,
    `${rows} rows are written`,
    (rows) => {
      const counts = Object.fromEntries(
        [...document.querySelectorAll<HTMLElement>("#filters [data-filter]")].map((button) => [
          button.dataset["filter"],
          Number((button.textContent ?? "").replace(/\D/g, "")),
        ]),
      );
      return counts["all"] === rows && counts["waiting"] === 0;
    },
    rows,
  );

/** The text of a download, or its bytes in base64, after it was asked for by the dialog. */
export async function download(tab: Tab, format: string): Promise<{ name: string; base64: string }> {
  await tab.click("#album-export");
  await tab.run((format) => {
    (window as unknown as { saved: unknown[] }).saved.length = 0;
    const select = document.querySelector<HTMLSelectElement>("#export-format");
    if (select) select.value = format;
    select?.dispatchEvent(new Event("change", { bubbles: true }));
  }, format);
  await tab.click("#export-run");
  await until(tab, "the export is told", () => document.querySelector("#export-told p") !== null);
  const file = await tab.run(async () => {
    const [first] = (window as unknown as { saved: { name: string; blob: Blob }[] }).saved;
    const bytes = new Uint8Array((await first?.blob.arrayBuffer()) ?? new ArrayBuffer(0));
    let letters = "";
    for (const byte of bytes) letters += String.fromCharCode(byte);
    return { name: first?.name ?? "", base64: btoa(letters) };
  });
  await tab.click("#export-close");
  return file;
}
