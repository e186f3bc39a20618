/** Makes the picture of the page in the README: `node screenshot.mjs [FILE]`, by default `../docs/page.webp`, of the built page in Chromium. */
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { serve } from "./server.mjs";

const www = fileURLToPath(new URL(".", import.meta.url));
const file = process.argv[2] ?? `${www}../docs/page.webp`;

const server = await serve(`${www}dist`);
const browser = await chromium.launch({
  executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
});
try {
  const page = await browser.newPage({ viewport: { width: 1180, height: 760 }, colorScheme: "light" });
  await page.goto(server.url);
  await page.waitForSelector("#load[hidden]", { state: "attached", timeout: 300_000 });
  await page.click("#gallery li:nth-child(2) button");
  await answers(page, 1);
  await page.fill("#question", "In which part of the picture is the green ring?");
  await page.press("#question", "Enter");
  await answers(page, 2);
  await page.evaluate(() => document.activeElement?.blur());
  // The list of conversations is as high as the window.
  await page.setViewportSize({ width: 1180, height: await page.evaluate(() => document.documentElement.scrollHeight) });
  const picture = await page.screenshot({ fullPage: true });
  await writeFile(file, Buffer.from(await page.evaluate(toWebp, picture.toString("base64")), "base64"));
} finally {
  await browser.close();
  await server.close();
}

function answers(page, count) {
  return page.waitForFunction((count) => document.querySelectorAll("#log .turn.model").length === count, count, { timeout: 300_000 });
}

/** Runs in the page: a PNG as WebP, both in base64. */
async function toWebp(png) {
  const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes]));
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  const webp = await canvas.convertToBlob({ type: "image/webp", quality: 0.9 });
  return btoa(Array.from(new Uint8Array(await webp.arrayBuffer()), (byte) => String.fromCharCode(byte)).join(""));
}
