/** Makes the page's PNG icons of `page/icon.svg`, with Chromium: `node icons.mjs [CHROMIUM]`. They are checked in. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const page = fileURLToPath(new URL("page/", import.meta.url));
const svg = await readFile(join(page, "icon.svg"), "utf8");
/** The background of the icon, which fills a maskable one to its edges; the picture then lies within the safe circle of 80 %. */
const GROUND = "#3d2f1c";
const icons = [
  { file: "icon-180.png", size: 180, scale: 1, ground: GROUND },
  { file: "icon-192.png", size: 192, scale: 1, ground: null },
  { file: "icon-512.png", size: 512, scale: 1, ground: null },
  { file: "icon-maskable-512.png", size: 512, scale: 0.8, ground: GROUND },
];

const browser = await chromium.launch({ executablePath: process.argv[2] ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const tab = await browser.newPage();
for (const { file, size, scale, ground } of icons) {
  const base64 = await tab.evaluate(
    async ({ svg, size, scale, ground }) => {
      const canvas = new OffscreenCanvas(size, size);
      const context = canvas.getContext("2d");
      if (ground) {
        context.fillStyle = ground;
        context.fillRect(0, 0, size, size);
      }
      const image = new Image(size, size);
      image.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
      await image.decode();
      const edge = (size * (1 - scale)) / 2;
      context.drawImage(image, edge, edge, size * scale, size * scale);
      const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
      return btoa(String.fromCharCode(...bytes));
    },
    { svg, size, scale, ground },
  );
  await writeFile(join(page, file), Buffer.from(base64, "base64"));
}
await browser.close();
