/** Headers of the page's files, for the development server and, as the file `_headers` of the build, for hosts. */

/** The policy of documents and of the service worker: everything is of this site, so what a model writes can load nothing. Browsers ignore `frame-ancestors` in a `<meta>` element. */
const DOCUMENT =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; style-src 'self'; img-src 'self' blob: data:; " +
  "media-src 'self' blob:; connect-src 'self' blob: data:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The policy of the engine's worker, which fetches models and pictures of any site and starts helper threads from blobs. */
const WORKER =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; " +
  "connect-src 'self' https: http://localhost:* http://127.0.0.1:* blob: data:";

/** The policy of the worker that asks the server of the user's choice, which may lie in the same network, without https. */
const SERVER = "default-src 'none'; connect-src 'self' https: http:";

const POLICIES = {
  "/": DOCUMENT,
  "/index.html": DOCUMENT,
  "/bench.html": DOCUMENT,
  "/sw.js": DOCUMENT,
  "/ocelli/worker.js": WORKER,
  "/bench-worker.js": WORKER,
  "/server-worker.js": SERVER,
};

/** The page takes pictures of cameras and of the screen, if the user wants it, and asks for nothing of the others. */
const PERMISSIONS = "camera=(self), display-capture=(self), microphone=(), geolocation=(), payment=(), usb=()";

/** The page is cross-origin isolated: without a GPU the model computes on several threads, which share memory. */
const ALL = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "permissions-policy": PERMISSIONS,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/** Headers of the file at `path`. */
export function headersOf(path) {
  const policy = POLICIES[path];
  return policy ? { ...ALL, "content-security-policy": policy } : ALL;
}

/** The text of `_headers`, which Netlify, Cloudflare Pages and others read. */
export function headersFile() {
  const block = (path, headers) => [path, ...Object.entries(headers).map(([name, value]) => `  ${name}: ${value}`)].join("\n");
  const policies = Object.entries(POLICIES).map(([path, policy]) => block(path, { "content-security-policy": policy }));
  return `${[block("/*", ALL), ...policies].join("\n")}\n`;
}
