/** Names that tell GPUs and their drivers apart: results of tuning and of tests hold for one of them. */
import type { BrowserNames } from "../wasm/ocelli.js";

/** Names of an adapter. Some browsers leave all of them empty. */
export interface AdapterInfo {
  readonly vendor?: string;
  readonly architecture?: string;
  readonly device?: string;
  readonly description?: string;
}

/** Browsers in the order in which their names are searched in a user agent, because most name others too. */
const BROWSERS: readonly (readonly [name: string, token: string])[] = [
  ["Firefox", "Firefox"],
  ["Edge", "Edg"],
  ["Opera", "OPR"],
  ["Chrome", "Chrome"],
  ["Safari", "Version"],
];

/** The names of an adapter in a browser. */
export function browserNames(info: AdapterInfo, renderer: string, userAgent: string): BrowserNames {
  const { vendor, architecture, device, description } = info;
  const adapter = [vendor, architecture, device, description].filter(Boolean).join(" ");
  const version = (token: string) => new RegExp(`\\b${token}/(\\d+)`).exec(userAgent)?.[1];
  const found = BROWSERS.map(([name, token]) => [name, version(token)] as const).find(([, major]) => major !== undefined);
  return { adapter, renderer, browser: found?.join(" ") ?? "" };
}

/** The renderer of WebGL; empty if there is none, or if the browser hides it. */
export function webglRenderer(): string {
  try {
    const gl = new OffscreenCanvas(1, 1).getContext("webgl");
    const extension = gl?.getExtension("WEBGL_debug_renderer_info");
    const renderer = gl && extension ? String(gl.getParameter(extension.UNMASKED_RENDERER_WEBGL)) : "";
    // Browsers allow few contexts at a time.
    gl?.getExtension("WEBGL_lose_context")?.loseContext();
    return renderer;
  } catch {
    return "";
  }
}
