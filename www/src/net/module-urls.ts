/** Addresses of the wasm modules for a page. */
import { absoluteUrl } from "../url.js";
import { MODULES, type ModuleName, type ModuleUrls } from "./wasm-module.js";

/** Options for the addresses of the modules. */
export interface ModuleOptions {
  /** Address of `ocelli_bg.wasm`. Default: in the folder `wasm` beside this package's script. */
  wasmUrl?: string | URL;
  /** Address of `ocelli_pictures_bg.wasm`, which decodes picture files. Default: beside `ocelli_bg.wasm`. */
  picturesUrl?: string | URL;
  /** Address of `ocelli_grammar_bg.wasm`, which is loaded for the first request with a format. Default: beside `ocelli_bg.wasm`. */
  grammarUrl?: string | URL;
  /**
   * Address of one of the modules `ocelli_cpu_bg.wasm`, `ocelli_cpu_relaxed_bg.wasm`, `ocelli_cpu_threads_bg.wasm` and `ocelli_cpu_relaxed_threads_bg.wasm`, to
   * be used where a model runs on the processor. Default: the best one for the browser, beside `ocelli_bg.wasm`.
   */
  cpuUrl?: string | URL;
  /** Address of `ocelli_import_bg.wasm`, which is loaded for imports. Default: beside `ocelli_bg.wasm`. */
  importUrl?: string | URL;
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
      // This script was bundled into one that has no address.
      return null;
    }
  };
  // Bundlers look for exactly this form, each on one line.
  return {
    engine: place("engine", () => new URL("./wasm/ocelli_bg.wasm", import.meta.url)),
    pictures: place("pictures", () => new URL("./wasm/ocelli_pictures_bg.wasm", import.meta.url)),
    formats: place("formats", () => new URL("./wasm/ocelli_grammar_bg.wasm", import.meta.url)),
    cpu: place("cpu", () => new URL("./wasm/ocelli_cpu_bg.wasm", import.meta.url)),
    cpuRelaxed: place("cpuRelaxed", () => new URL("./wasm/ocelli_cpu_relaxed_bg.wasm", import.meta.url)),
    cpuThreads: place("cpuThreads", () => new URL("./wasm/ocelli_cpu_threads_bg.wasm", import.meta.url)),
    cpuRelaxedThreads: place("cpuRelaxedThreads", () => new URL("./wasm/ocelli_cpu_relaxed_threads_bg.wasm", import.meta.url)),
    import: place("import", () => new URL("./wasm/ocelli_import_bg.wasm", import.meta.url)),
  };
}
