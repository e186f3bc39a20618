/** Settings, shared pictures and the list of keys, whose code and styles are loaded when they are first opened. */
import type { FunctionComponent } from "preact";
import type { Section } from "../state/route.js";
import { words } from "../words/index.js";
import { loadStyles } from "./dom.js";
import { lazy } from "./lazy.js";

type Module = typeof import("./settings/index.js");

function part<Props extends object>(pick: (module: Module) => FunctionComponent<Props>, fallback?: () => preact.ComponentChildren) {
  const load = async () => {
    const [module] = await Promise.all([import("./settings/index.js"), loadStyles("settings.css")]);
    return pick(module);
  };
  return lazy(load, fallback);
}

const loading = () => <p class="fine">{words.settings.loading}</p>;

export const Settings = part<{ section: Section }>((module) => module.SettingsView, loading);
export const Inbox = part<{ isFull: boolean }>((module) => module.InboxView, loading);
export const KeysDialog = part<object>((module) => module.KeysDialog);
