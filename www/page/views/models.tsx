/** The model that answers. The list of models, and what waits for one, are loaded when they are first shown. */
import type { ComponentChildren, FunctionComponent } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { downloads } from "../state/downloads.js";
import { current, loading } from "../state/engine.js";
import { linkedModel } from "../state/link.js";
import { DEMO } from "../state/model-choice.js";
import { interrupted, refreshModels } from "../state/models.js";
import { addressOf, route } from "../state/route.js";
import { showModels } from "../state/session.js";
import { words } from "../words/index.js";
import { shortcut } from "./keys.js";
import { lazy } from "./lazy.js";

type Lists = typeof import("./models-list.js");

function part<Props extends object>(pick: (module: Lists) => FunctionComponent<Props>, fallback?: () => ComponentChildren) {
  return lazy(async () => pick(await import("./models-list.js")), fallback);
}

const List = part(
  (module) => module.ModelsList,
  () => <p class="fine">{words.models.loading}</p>,
);
const Notices = part((module) => module.Interrupted);
const DownloadList = part((module) => module.DownloadList);
const LinkedDialog = part((module) => module.LinkedDialog);
export const HeldCard = part((module) => module.HeldCard);

/** Imports of earlier visits. */
export function Interrupted() {
  return interrupted.value.length > 0 ? <Notices /> : null;
}

export function Downloads() {
  return downloads.value.size > 0 ? <DownloadList /> : null;
}

/** The question about a model of another site, which a link names. */
export function Linked() {
  const model = linkedModel.value;
  return model && <LinkedDialog model={model} />;
}

export function Models() {
  const isOpen = route.value.view === "models";
  const choice = loading.value && !current.value ? loading.value.choice : (current.value ?? DEMO);
  // The list stays in the document when it is closed, with the text that was entered.
  const wasOpen = useRef(false);
  useEffect(() => {
    if (isOpen) wasOpen.current = true;
    if (isOpen) void refreshModels();
  }, [isOpen]);
  if (choice.server) {
    return (
      <p class="models" id="models">
        {words.models.heading}
        <span id="model-name">{choice.name}</span>{" "}
        <a id="models-summary" {...shortcut("m")} href={addressOf({ view: "settings", section: "server" })}>
          {words.models.change}
        </a>
      </p>
    );
  }
  return (
    <details class="models" id="models" open={isOpen}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: a summary is a control of its own. */}
      <summary
        id="models-summary"
        {...shortcut("m")}
        onClick={(event) => {
          // The address decides, so that the browser's way back closes it.
          event.preventDefault();
          showModels(!isOpen);
        }}
      >
        <h2 id="models-heading">
          {words.models.heading}
          <span id="model-name">{choice.name}</span>
        </h2>
        <span class="change">{words.models.change}</span>
      </summary>
      {(isOpen || wasOpen.current) && <List />}
    </details>
  );
}
