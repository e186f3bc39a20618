/**
 * Makes pictures of the built page in Chromium: `node screenshot.mjs [FILE]` that of the README, by default `../docs/page.webp`;
 * `node screenshot.mjs --manifest` those that browsers show before the page is installed, `page/screenshot-*.webp`.
 */
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { serve } from "./server.mjs";

const www = fileURLToPath(new URL(".", import.meta.url));
const isForManifest = process.argv[2] === "--manifest";
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
  if (isForManifest) {
    // No control is under the mouse.
    await page.mouse.move(0, 0);
    for (const [name, width, height] of [
      ["wide", 1280, 800],
      ["narrow", 390, 780],
    ]) {
      await page.setViewportSize({ width, height });
      await page.evaluate(() => scrollTo(0, 0));
      await save(page, await page.screenshot(), `${www}page/screenshot-${name}.webp`);
    }
  } else {
    // The list of conversations is as high as the window.
    await page.setViewportSize({ width: 1180, height: await page.evaluate(() => document.documentElement.scrollHeight) });
    await save(page, await page.screenshot({ fullPage: true }), file);
  }
} finally {
  await browser.close();
  await server.close();
}

function answers(page, count) {
  return page.waitForFunction((count) => document.querySelectorAll("#log .turn.model").length === count, count, { timeout: 300_000 });
}

async function save(page, png, file) {
  await writeFile(file, Buffer.from(await page.evaluate(toWebp, png.toString("base64")), "base64"));
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
