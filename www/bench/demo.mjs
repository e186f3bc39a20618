/**
 * Times the demo page on a machine without a GPU, in headless Chromium without WebGPU: `node bench/demo.mjs [ROUNDS]`. In seconds: from the
 * navigation until the model is ready, from a click on a picture to the first words, and to the whole description; then a second visit.
 */
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { serve } from "../server.mjs";

const rounds = Number(process.argv[2] ?? 5);
const server = await serve(fileURLToPath(new URL("../dist", import.meta.url)));
const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const visits = { first: [], second: [] };
try {
  for (let round = 0; round < rounds; round++) {
    const context = await browser.newContext();
    for (const times of Object.values(visits)) times.push(await visit(await context.newPage()));
    await context.close();
  }
} finally {
  await browser.close();
  await server.close();
}
for (const [name, times] of Object.entries(visits)) {
  for (const what of ["ready", "words", "whole"]) {
    const sorted = times.map((time) => time[what]).sort((one, other) => one - other);
    console.log(
      `${name} visit, ${what}: ${sorted[rounds >> 1].toFixed(2)} s (${sorted[0].toFixed(2)} to ${sorted[rounds - 1].toFixed(2)})`,
    );
  }
}
console.log(visits.first[0].device);

async function visit(page) {
  await page.goto(server.url, { waitUntil: "commit" });
  await page.waitForSelector("#load[hidden]", { state: "attached" });
  // By the page's own clock, which starts with the navigation.
  const ready = await page.evaluate(() => performance.now() / 1000);
  await page.waitForSelector("#gallery li button");
  const { words, whole } = await page.evaluate(async () => {
    const start = performance.now();
    const until = (holds) =>
      new Promise((resolve) => {
        const look = () => {
          if (!holds()) return;
          observer.disconnect();
          resolve((performance.now() - start) / 1000);
        };
        const observer = new MutationObserver(look);
        observer.observe(document.body, { subtree: true, childList: true, characterData: true });
      });
    document.querySelector("#gallery li button").click();
    const words = await until(() => document.querySelector("#underway .words, #log .turn.model .words")?.textContent);
    return {
      words,
      whole: document.querySelector("#log .turn.model") ? words : await until(() => document.querySelector("#log .turn.model")),
    };
  });
  const device = await page.evaluate(() => document.querySelector("#device").innerText.trim());
  await page.close();
  return { ready, words, whole, device };
}
