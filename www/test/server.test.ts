/** The development server. No browser takes part. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { headersFile } from "../headers.mjs";
import { serve, type Server } from "../server.mjs";

let folder: string;
let server: Server;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "ocelli-server-"));
  mkdirSync(join(folder, "ocelli"));
  for (const file of ["index.html", "style.css", "ocelli/worker.js"]) writeFileSync(join(folder, file), "");
  server = await serve(folder);
});
after(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

test("an address that cannot be decoded is refused, and the server continues", async () => {
  assert.equal((await fetch(`${server.url}%`)).status, 400);
  assert.equal((await fetch(`${server.url}%/index.html`)).status, 400);
  assert.equal((await fetch(server.url)).status, 200);
});

test("documents and workers have content security policies, and hosts get the same headers as a file", async () => {
  const policy = async (path: string) => (await fetch(server.url + path)).headers.get("content-security-policy") ?? "";
  assert.match(await policy(""), /frame-ancestors 'none'/);
  assert.doesNotMatch(await policy("index.html"), /https:/);
  assert.match(await policy("ocelli/worker.js"), /connect-src 'self' https:/);
  for (const path of ["", "index.html"]) assert.match(await policy(path), /^default-src 'none';.*connect-src 'self' blob: data:;/);
  assert.equal(await policy("style.css"), "");
  for (const path of ["", "index.html", "ocelli/worker.js"])
    assert.ok(headersFile().includes(`  content-security-policy: ${await policy(path)}\n`), path);
  assert.match(
    headersFile(),
    /^\/\*\n {2}x-content-type-options: nosniff\n {2}referrer-policy: no-referrer\n {2}permissions-policy: .*\n {2}cross-origin-opener-policy: same-origin\n {2}cross-origin-embedder-policy: require-corp\n\/\n/,
  );
});
