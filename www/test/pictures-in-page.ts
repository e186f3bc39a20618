/** Pictures that are made in the page, and their pixels. */
import { readFile } from "node:fs/promises";
import type { Tab } from "./driver.js";

/** Width and height of the quartered pictures, upright. Multiples of 16, so that JPEG keeps the edges of the quarters. */
export const [WIDTH, HEIGHT] = [128, 64];
/** The quarters of an upright picture: upper left, upper right, lower left, lower right. */
export const QUARTERS = ["red", "lime", "blue", "yellow"] as const;

/**
 * Drops a JPEG with an EXIF orientation onto the page. Upright it has four quarters in the colours of `QUARTERS`, however its pixels lie in
 * the file (TIFF 6.0, tag 274: the side of the picture at which row 0 is, and that of column 0).
 */
export function dropTurned(tab: Tab, orientation: number, name: string): Promise<void> {
  return tab.run(
    async ({ orientation, name, width, height }) => {
      const isLying = orientation >= 5;
      const canvas = isLying ? new OffscreenCanvas(height, width) : new OffscreenCanvas(width, height);
      const context = canvas.getContext("2d");
      if (!context) throw new Error("no canvas");
      const colours = ["red", "lime", "blue", "yellow"];
      for (let row = 0; row < canvas.height; row++) {
        for (let column = 0; column < canvas.width; column++) {
          const [across, down] = isLying ? [row, column] : [column, row];
          const x = [2, 3, 6, 7].includes(orientation) ? width - 1 - across : across;
          const y = [3, 4, 7, 8].includes(orientation) ? height - 1 - down : down;
          context.fillStyle = colours[(x < width / 2 ? 0 : 1) + (y < height / 2 ? 0 : 2)] ?? "";
          context.fillRect(column, row, 1, 1);
        }
      }
      const plain = new Uint8Array(await (await canvas.convertToBlob({ type: "image/jpeg", quality: 1 })).arrayBuffer());
      // APP1 with a TIFF header in the order of Motorola and one tag.
      const tiff = [0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0];
      const exif = [0x45, 0x78, 0x69, 0x66, 0, 0, ...tiff];
      const segment = new Uint8Array([0xff, 0xe1, 0, exif.length + 2, ...exif]);
      const file = new File([plain.subarray(0, 2), segment, plain.subarray(2)], name, { type: "image/jpeg" });
      const transfer = new DataTransfer();
      transfer.items.add(file);
      document.getElementById("drop")?.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
    },
    { orientation, name, width: WIDTH, height: HEIGHT },
  );
}

/** Drops a grey PNG with a green rectangle onto the page; all in pixels. */
export function dropRectangle(
  tab: Tab,
  size: { width: number; height: number },
  box: { x: number; y: number; width: number; height: number },
  name: string,
): Promise<void> {
  return tab.run(
    async ({ size, box, name }) => {
      const canvas = new OffscreenCanvas(size.width, size.height);
      const context = canvas.getContext("2d");
      if (!context) throw new Error("no canvas");
      context.fillStyle = "#808080";
      context.fillRect(0, 0, size.width, size.height);
      context.fillStyle = "#00c000";
      context.fillRect(box.x, box.y, box.width, box.height);
      const transfer = new DataTransfer();
      transfer.items.add(new File([await canvas.convertToBlob()], name, { type: "image/png" }));
      document.getElementById("drop")?.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
    },
    { size, box, name },
  );
}

/** The part of a picture that has a colour: its sides in pixels, without the last row and column. */
export interface Bounds {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** The bounds of pixels near each of some colours in a PNG file; `null` where there are none. */
export async function boundsOf(
  tab: Tab,
  path: string,
  colours: readonly (readonly [number, number, number])[],
): Promise<(Bounds | null)[]> {
  const base64 = (await readFile(path)).toString("base64");
  return tab.run(
    async ({ base64, colours }) => {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
      const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
      if (!context) throw new Error("no canvas");
      context.drawImage(bitmap, 0, 0);
      const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
      return colours.map((colour) => {
        const bounds = { left: Number.POSITIVE_INFINITY, top: Number.POSITIVE_INFINITY, right: -1, bottom: -1 };
        for (let at = 0; at < data.length; at += 4) {
          if (colour.some((value, channel) => Math.abs((data[at + channel] ?? 0) - value) > 12)) continue;
          const [x, y] = [(at / 4) % bitmap.width, Math.floor(at / 4 / bitmap.width)];
          bounds.left = Math.min(bounds.left, x);
          bounds.top = Math.min(bounds.top, y);
          bounds.right = Math.max(bounds.right, x + 1);
          bounds.bottom = Math.max(bounds.bottom, y + 1);
        }
        return bounds.right < 0 ? null : bounds;
      });
    },
    { base64, colours },
  );
}
