/**
 * Pictures that another program has shared: the service worker puts them into a cache, which needs no database of a version that it would
 * have to agree on with the page.
 */

import { signal } from "@preact/signals-core";

/** Pictures for a new album; `null` if there are none. */
export const givenForAlbum = signal<readonly File[] | null>(null);

/** Also in `sw.ts`. */
const INBOX = "ocelli-inbox";

/** The shared pictures, in the order in which they came. */
export async function sharedPictures(): Promise<File[]> {
  if (typeof caches === "undefined" || !(await caches.has(INBOX))) return [];
  const cache = await caches.open(INBOX);
  const files: File[] = [];
  for (const request of await cache.keys()) {
    const response = await cache.match(request);
    if (!response) continue;
    const blob = await response.blob();
    files.push(new File([blob], decodeURIComponent(response.headers.get("x-name") ?? ""), { type: blob.type }));
  }
  return files;
}

/** The shared pictures, which leave the inbox. */
export async function takeShared(): Promise<File[]> {
  const files = await sharedPictures();
  await discardShared();
  return files;
}

export async function discardShared(): Promise<void> {
  await caches.delete(INBOX);
}

type Launch = (parameters: { files?: readonly FileSystemFileHandle[] }) => void;

/** Takes files that the installed page was opened with. */
export function listenForLaunches(onFiles: (files: readonly File[]) => void): void {
  const { launchQueue } = globalThis as { launchQueue?: { setConsumer(consumer: Launch): void } };
  launchQueue?.setConsumer(({ files = [] }) => {
    if (files.length > 0) void Promise.all(files.map((handle) => handle.getFile())).then(onFiles, () => undefined);
  });
}
