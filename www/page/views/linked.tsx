/** The question about a model of another site, which a link names. */
import type { LinkedModel } from "../state/link.js";
import { modelWords } from "../words/models.js";
import { useModal } from "./dom.js";

export function LinkedDialog({ model: { origin, name, bytes, answer } }: { model: LinkedModel }) {
  const dialog = useModal("linked-refuse");
  return (
    <dialog
      class="linked"
      id="linked"
      ref={dialog}
      aria-labelledby="linked-heading"
      aria-describedby="linked-words"
      onClose={() => answer(false)}
    >
      <h2 id="linked-heading">{modelWords.linked.heading}</h2>
      <div id="linked-words">
        <p>
          {modelWords.linked.names}
          <strong id="linked-origin">{origin}</strong>:
        </p>
        <p>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a long address is scrolled by the keyboard. */}
          <code id="linked-name" tabIndex={0}>
            {name}
          </code>
          <span id="linked-size">{bytes === null ? modelWords.linked.unknownSize : modelWords.linked.size(bytes)}</span>
        </p>
        <p class="fine">{modelWords.linked.advice}</p>
      </div>
      <div class="actions">
        <button type="button" class="button primary" id="linked-refuse" onClick={() => answer(false)}>
          {modelWords.linked.refuse}
        </button>
        <button type="button" class="button" id="linked-load" onClick={() => answer(true)}>
          {modelWords.linked.load}
        </button>
      </div>
    </dialog>
  );
}
