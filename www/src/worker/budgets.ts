/** Budgets, by a script of their own, which is loaded when they are wanted. */
import { type ModuleUrls, WasmModule } from "../net/wasm-module.js";
import type { Accounts } from "../usage/index.js";
import type { Budgets } from "../usage/types.js";

type Script = typeof import("../usage/index.js");

/** `build.mjs` puts it at the head of the worker's script, with comments that tell bundlers to leave it alone. */
declare const importScript: (url: string) => Promise<Script>;

let script: Script | null = null;
const module = new WasmModule("usage", async ({ module_or_path }) => {
  script = await importScript(module_or_path);
});

/** What counts. */
export async function accountsOf(budgets: Budgets | null, urls: ModuleUrls): Promise<Accounts> {
  await module.load(urls);
  return new (script as Script).Accounts(budgets);
}
