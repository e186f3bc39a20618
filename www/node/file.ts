/** Files by their `file:` URLs, which Node's `fetch` does not read. */
import { open } from "node:fs/promises";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

/** The file at a URL, or the part of it that a header asks for. */
export async function fetchFile(url: string, headers: Headers): Promise<Response> {
  const path = fileURLToPath(url);
  const file = await open(path).catch(() => null);
  if (!file) return new Response(null, { status: 404 });
  try {
    const { size, mtimeMs } = await file.stat();
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.get("range") ?? "") ?? [];
    const start = Number(first ?? 0);
    const end = Math.min(last ? Number(last) + 1 : size, size);
    if (start > 0 && start >= size) return new Response(null, { status: 416, headers: { "content-range": `bytes */${size}` } });
    const bytes = new Uint8Array(end - start);
    for (let filled = 0; filled < bytes.length; ) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, start + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    const type = extname(path) === ".wasm" ? "application/wasm" : "application/octet-stream";
    const sent = { "content-type": type, "content-length": `${bytes.length}`, etag: `"${size}-${mtimeMs}"` };
    if (first === undefined) return new Response(bytes, { headers: sent });
    return new Response(bytes, { status: 206, headers: { ...sent, "content-range": `bytes ${start}-${end - 1}/${size}` } });
  } finally {
    await file.close();
  }
}
