/** Pictures by the hash of their file. Those of the open conversation and of the tray have addresses. */
import { signal } from "@preact/signals-core";
import { webSha256 } from "../../src/store/hash.js";
import { factsOf } from "../pictures/photograph.js";
import type { PartOf, PictureId, PictureName, StoredPicture } from "../store/schema.js";
import { rows, write } from "./kept.js";

/** A picture with an address that is valid as long as it is shown. */
export interface Picture extends StoredPicture {
  url: string;
}

/** Pictures with addresses. */
export const pictures = signal<ReadonlyMap<PictureId, Picture>>(new Map());

/** Reads and keeps a picture file. Its name is that of the first file with these bytes. */
export async function takePicture(file: File, isTemporary: boolean, from: PartOf | null = null): Promise<PictureName> {
  const id = await hashOf(file);
  if (!pictures.value.has(id)) {
    const url = URL.createObjectURL(file);
    const facts = await factsOf(file, url);
    // A part may have few colours.
    const isPhotograph = facts.isPhotograph || pictures.value.get(from?.id ?? "")?.isPhotograph === true;
    const picture = { id, blob: file, name: file.name, ...facts, isPhotograph, usedAt: Date.now(), from };
    show({ ...picture, url });
    await write({ put: { pictures: [picture] } }, isTemporary);
  }
  return { id, name: file.name };
}

/** Gives addresses to stored pictures. One that is gone has none. */
export async function showPictures(ids: readonly PictureId[]): Promise<void> {
  const store = await rows();
  for (const id of ids) {
    const stored = pictures.value.has(id) ? null : await store.get("pictures", id);
    if (stored && !pictures.value.has(id)) show({ ...stored, url: URL.createObjectURL(stored.blob) });
  }
}

/** Takes the addresses of all pictures except `kept`. */
export function hideOthers(kept: ReadonlySet<PictureId>): void {
  for (const [id, { url }] of pictures.value) if (!kept.has(id)) URL.revokeObjectURL(url);
  pictures.value = new Map([...pictures.value].filter(([id]) => kept.has(id)));
}

export function hasPhotograph(names: readonly PictureName[]): boolean {
  return names.some(({ id }) => pictures.value.get(id)?.isPhotograph);
}

function show(picture: Picture): void {
  pictures.value = new Map([...pictures.value, [picture.id, picture]]);
}

/** Pages that are not opened over https have no hashes. */
async function hashOf(file: Blob): Promise<string> {
  const isSecure = (globalThis.crypto as Partial<Crypto>).subtle !== undefined;
  return isSecure ? webSha256(new Uint8Array(await file.arrayBuffer())) : crypto.getRandomValues(new Uint32Array(8)).join("-");
}
