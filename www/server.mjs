/** A small static server, with the headers that hosts should send. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { headersOf } from "./headers.mjs";

export const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".webmanifest": "application/manifest+json",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".webp": "image/webp",
  ".txt": "text/plain; charset=utf-8",
};

/**
 * Serves `folder` on `port` (0 for any free one). `onRequest` sees every path and may answer itself by returning true.
 * `headers` returns what an answer has beside its type: by default the policies of Ocelli's page. Resolves once listening, to `{ url, close }`.
 */
export async function serve(folder, port = 0, onRequest = () => false, headers = headersOf) {
  const server = createServer((request, response) => {
    const path = pathOf(request.url);
    if (path === null) response.writeHead(400, { "content-type": "text/plain" }).end("not an address\n");
    else if (!onRequest(path, request, response)) void sendFile(folder, path, headers(path), response);
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    url: `http://localhost:${server.address().port}/`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The decoded path of a request; `null` for an invalid one. */
function pathOf(url) {
  try {
    return decodeURIComponent(new URL(url, "http://localhost").pathname);
  } catch {
    return null;
  }
}

async function sendFile(folder, path, headers, response) {
  const file = normalize(join(folder, path.endsWith("/") ? `${path}index.html` : path));
  const found = file.startsWith(folder + sep) ? await stat(file).catch(() => null) : null;
  if (!found?.isFile()) {
    response.writeHead(404, { "content-type": "text/plain" }).end("not found\n");
    return;
  }
  response.writeHead(200, {
    "content-type": TYPES[extname(file)] ?? "application/octet-stream",
    "content-length": found.size,
    "cache-control": "no-cache",
    "last-modified": found.mtime.toUTCString(),
    ...headers,
  });
  createReadStream(file)
    .on("error", () => response.destroy())
    .pipe(response);
}
