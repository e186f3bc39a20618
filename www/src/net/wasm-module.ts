/** The wasm module of the engine, and the modules that are loaded when the first request needs them. */
import { ocelliError } from "../errors.js";
import { Once } from "../once.js";

/** The file of every module, the option of `Parts` for its address, and its name in errors. */
export const MODULES = {
  engine: { file: "ocelli_bg.wasm", option: "wasmUrl", what: "wasm module" },
  pictures: { file: "ocelli_pictures_bg.wasm", option: "picturesUrl", what: "module for picture files" },
  formats: { file: "ocelli_grammar_bg.wasm", option: "grammarUrl", what: "module for formats" },
  cpu: { file: "ocelli_cpu_bg.wasm", option: "cpuUrl", what: "module for the processor" },
  cpuRelaxed: { file: "ocelli_cpu_relaxed_bg.wasm", option: "cpuUrl", what: "module for the processor" },
  cpuThreads: { file: "ocelli_cpu_threads_bg.wasm", option: "cpuUrl", what: "module for the processor" },
  cpuRelaxedThreads: { file: "ocelli_cpu_relaxed_threads_bg.wasm", option: "cpuUrl", what: "module for the processor" },
  import: { file: "ocelli_import_bg.wasm", option: "importUrl", what: "module for imports" },
} as const;

export type ModuleName = keyof typeof MODULES;

/** Addresses of the modules. `null`: in the folder `wasm` beside the worker's script, whose address only the worker knows. */
export type ModuleUrls = Record<ModuleName, string | null>;

type Init = (options: { module_or_path: string }) => Promise<unknown>;

/** A module that is loaded once. */
export class WasmModule {
  private readonly loaded = new Once((urls: ModuleUrls) => this.fetch(urls[this.name]));

  constructor(
    private readonly name: ModuleName,
    private readonly init: Init,
  ) {}

  load(urls: ModuleUrls): Promise<void> {
    return this.loaded.get(urls);
  }

  private async fetch(given: string | null): Promise<void> {
    const { file, option, what } = MODULES[this.name];
    const url = given ?? new URL(`./wasm/${file}`, location.href).href;
    try {
      await this.init({ module_or_path: url });
    } catch (cause) {
      const detail = `the ${what} could not be loaded from ${url}; \`${option}\` says where it is: ${String(cause)}`;
      throw ocelliError("internal", detail, { detail }, cause);
    }
  }
}
