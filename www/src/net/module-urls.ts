/** Where the wasm modules are, as a page knows it. */
import { absoluteUrl } from "../url.js";
import { MODULES, type ModuleName, type ModuleUrls } from "./wasm-module.js";

/** Where a page may say that the modules are. */
export interface ModuleOptions {
  /** Where `ocelli_bg.wasm` is, if not in the folder `wasm` beside this package's script. */
  wasmUrl?: string | URL;
  /** Where `ocelli_full_bg.wasm` is, if not beside `ocelli_bg.wasm`. It is in the place of that where `parallel` or `cache` is set. */
  fullUrl?: string | URL;
  /** Where `ocelli_pictures_bg.wasm` is, if not beside `ocelli_bg.wasm`. It reads picture files. */
  picturesUrl?: string | URL;
  /** Where `ocelli_grammar_bg.wasm` is, if not there either. It is loaded when the first request wants a format. */
  grammarUrl?: string | URL;
  /** Where `ocelli_import_bg.wasm` is, if not there either. It is loaded for imports. */
  importUrl?: string | URL;
  /** Where `usage.js` is, if not there either. It is loaded where there are budgets. */
  usageUrl?: string | URL;
}

export function moduleUrls(options: ModuleOptions): ModuleUrls {
  const { wasmUrl } = options;
  const place = (name: ModuleName, bundled: () => URL): string | null => {
    const given = options[MODULES[name].option];
    if (given !== undefined) return absoluteUrl(given);
    if (wasmUrl !== undefined) return new URL(MODULES[name].file, absoluteUrl(wasmUrl)).href;
    try {
      return bundled().href;
    } catch {
      // This script was bundled into one without an address.
      return null;
    }
  };
  // Bundlers look for exactly this form, each on one line.
  return {
    engine: place("engine", () => new URL("./wasm/ocelli_bg.wasm", import.meta.url)),
    full: place("full", () => new URL("./wasm/ocelli_full_bg.wasm", import.meta.url)),
    pictures: place("pictures", () => new URL("./wasm/ocelli_pictures_bg.wasm", import.meta.url)),
    formats: place("formats", () => new URL("./wasm/ocelli_grammar_bg.wasm", import.meta.url)),
    import: place("import", () => new URL("./wasm/ocelli_import_bg.wasm", import.meta.url)),
    usage: place("usage", () => new URL("./wasm/usage.js", import.meta.url)),
  };
}
