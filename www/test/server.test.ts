/** The development server. No browser takes part. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { serve, type Server } from "../server.mjs";

let folder: string;
let server: Server;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "ocelli-server-"));
  writeFileSync(join(folder, "index.html"), "<!doctype html>");
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
