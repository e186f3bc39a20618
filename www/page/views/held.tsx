/** A question that waits: for a model, or for one that sees photographs. */
import type { ModelCheck } from "../../src/index.js";
import { downloads } from "../state/downloads.js";
import { askAnyway, held, letGo } from "../state/held.js";
import { keyOf } from "../state/model-choice.js";
import { check } from "../state/models.js";
import { addressOf } from "../state/route.js";
import { getForHeld } from "../state/session.js";
import { modelWords } from "../words/models.js";

export function HeldCard() {
  const waiting = held.value;
  if (!waiting) return null;
  if (waiting.reason === "photograph") return <Photograph />;
  return (
    <div class="turn notice">
      <p>{modelWords.held.model}</p>
      <button type="button" class="quiet" onClick={letGo}>
        {modelWords.held.cancel}
      </button>
    </div>
  );
}

/** The model with the smallest download that describes photographs and fits. */
function smallest(): ModelCheck | undefined {
  const bytes = ({ downloadBytes }: ModelCheck) => downloadBytes ?? Number.POSITIVE_INFINITY;
  const fitting = (check.value?.models ?? []).filter(({ fits, model }) => fits && model.goodAt.includes("describe"));
  return fitting.sort((one, other) => bytes(one) - bytes(other))[0];
}

function Photograph() {
  const wanted = held.value?.wants;
  const offered = smallest();
  const isComing = wanted && [...downloads.value.keys()].includes(keyOf(wanted.source));
  return (
    <div class="turn notice photograph" id="offer">
      <p>{modelWords.held.photograph}</p>
      {isComing ? (
        <p>{modelWords.held.willAnswer(wanted.name)}</p>
      ) : offered ? (
        <Offer offered={offered} />
      ) : (
        check.value && <p>{modelWords.held.none}</p>
      )}
      <div class="choices">
        <a class="button" href={addressOf({ view: "models" })}>
          {modelWords.held.other}
        </a>
        <button type="button" id="ask-anyway" onClick={() => void askAnyway()}>
          {modelWords.held.anyway}
        </button>
      </div>
    </div>
  );
}

function Offer({ offered }: { offered: ModelCheck }) {
  const { model, isStored, downloadBytes, loadSeconds } = offered;
  const [address] = Object.values(model.source);
  const label = isStored ? modelWords.held.use(model.name) : modelWords.held.download(model.name, downloadBytes, loadSeconds.first);
  return (
    <>
      <button type="button" class="primary" id="get-model" aria-describedby="get-model-host" onClick={() => getForHeld(model, isStored)}>
        {label}
      </button>
      <p class="fine" id="get-model-host">
        {isStored ? "" : modelWords.held.host(new URL(String(address)).host)}
      </p>
    </>
  );
}
