/** Models that are stored, and imports that can be resumed. */
import { useState } from "preact/hooks";
import type { InterruptedImport, StoredPackage } from "../../src/index.js";
import { announce } from "../state/announce.js";
import { downloads } from "../state/downloads.js";
import { current, engine } from "../state/engine.js";
import { DEMO, keyOf, nameOf, type Choice } from "../state/model-choice.js";
import { deletePackage, interrupted, stored } from "../state/models.js";
import { choose } from "../state/session.js";
import { words } from "../words/index.js";
import { modelWords } from "../words/models.js";

/** Imports of earlier visits. */
export function Interrupted() {
  const shown = interrupted.value.filter(({ source }) => !downloads.value.has(keyOf(source)));
  return (
    <div class="notices" id="interrupted">
      {shown.map((entry) => (
        <Notice key={entry.url} entry={entry} />
      ))}
    </div>
  );
}

/** An import can be resumed without asking the user only if its files have addresses. */
function Notice({ entry: { source, url, loaded, total, options } }: { entry: InterruptedImport }) {
  const name = nameOf(source);
  const files = Object.values(source).filter((place): place is { file: string; bytes: number } => typeof place === "object");
  const needsFiles = files.length > 0 || Object.keys(options).length > 0;
  return (
    <div class="notice">
      <p>
        {modelWords.partly(name, loaded, total)}
        {needsFiles && modelWords.sameFiles(files.map(({ file }) => file).join(", "))}
      </p>
      {!needsFiles && (
        <button
          type="button"
          aria-label={modelWords.resumePart(name)}
          onClick={() => void choose({ name, source: source as Choice["source"] })}
        >
          {words.models.resume}
        </button>
      )}
      <button type="button" class="quiet" aria-label={modelWords.discardPart(name)} onClick={() => void deletePackage(url)}>
        {modelWords.discard}
      </button>
    </div>
  );
}

export function Stored() {
  return (
    <div id="stored-section" hidden={stored.value.length === 0}>
      <h3 id="stored-heading">{modelWords.storedHeading}</h3>
      <ul class="stored" id="stored" aria-labelledby="stored-heading">
        {stored.value.map((entry) => (
          <Entry key={entry.url} entry={entry} />
        ))}
      </ul>
    </div>
  );
}

function Entry({ entry: { url, name, bytes, complete } }: { entry: StoredPackage }) {
  const [isAsking, setAsking] = useState(false);
  const begun = interrupted.value.find((entry) => entry.url === url);
  const shown = url === DEMO.source ? modelWords.demoTitle : begun ? nameOf(begun.source) : name;
  const isUsed = engine.value?.packageUrl === url || current.value?.source === url;
  const remove = () => void deletePackage(url).then(() => announce(modelWords.deleted(shown)));
  if (isAsking) {
    return (
      <li>
        <span>{modelWords.deleteQuestion(shown, bytes)}</span>
        <button type="button" class="quiet" aria-label={modelWords.deleteStored(shown)} onClick={remove}>
          {words.delete}
        </button>
        <button type="button" class="quiet" onClick={() => setAsking(false)}>
          {modelWords.keep}
        </button>
      </li>
    );
  }
  return (
    <li>
      <span>{modelWords.entry(shown, bytes, complete)}</span>
      <button
        type="button"
        class="quiet"
        aria-label={modelWords.takeStored(shown)}
        disabled={!complete || isUsed}
        onClick={() => void choose({ name: shown, source: url })}
      >
        {modelWords.use}
      </button>
      <button type="button" class="quiet" aria-label={modelWords.deleteStored(shown)} onClick={() => setAsking(true)}>
        {words.delete}
      </button>
    </li>
  );
}
