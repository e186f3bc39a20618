/** Budgets and usage, in a separate script that is loaded if they are needed. */
import { type ModuleUrls, WasmModule } from "../net/wasm-module.js";
import type { Accounts } from "../usage/index.js";
import type { Budgets } from "../usage/types.js";

type Script = typeof import("../usage/index.js");

/** Defined by `build.mjs` at the head of the worker's script, with comments that make bundlers ignore the import. */
declare const importScript: (url: string) => Promise<Script>;

let script: Script | null = null;
const module = new WasmModule("usage", async ({ module_or_path }) => {
  script = await importScript(module_or_path);
});

/** Loads the script. Returns the accounts for `budgets`. */
export async function accountsOf(budgets: Budgets | null, urls: ModuleUrls): Promise<Accounts> {
  await module.load(urls);
  return new (script as Script).Accounts(budgets);
}
