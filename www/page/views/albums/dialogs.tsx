/** Small dialogs of an album. */
import { useEffect, useState } from "preact/hooks";
import { changedByHand, writeAgain } from "../../state/album-review.js";
import { fileOf } from "../../state/album-files.js";
import type { AlbumRow, Id } from "../../store/schema.js";
import { albumWords } from "../../words/albums.js";
import { words } from "../../words/index.js";
import { useModal } from "../dom.js";
import { Labelled } from "./parts.js";

/** Asks before texts that the user has changed are replaced. */
export function AskAgain({ album, ids, onClose }: { album: Id; ids: readonly Id[]; onClose: () => void }) {
  const dialog = useModal("again-keep");
  return (
    <dialog class="linked" id="ask-again" ref={dialog} aria-labelledby="again-heading" onClose={onClose}>
      <p id="again-heading">{albumWords.review.asksAgain(changedByHand(ids))}</p>
      <div class="actions">
        <button type="button" class="button primary" id="again-keep" onClick={onClose}>
          {albumWords.review.keep}
        </button>
        <button
          type="button"
          class="button"
          id="again-replace"
          onClick={() => {
            onClose();
            void writeAgain(album, ids);
          }}
        >
          {albumWords.review.replace}
        </button>
      </div>
    </dialog>
  );
}

export function ContextDialog({ onApply, onClose }: { onApply: (text: string) => void; onClose: () => void }) {
  const dialog = useModal("context-text");
  const [text, setText] = useState("");
  return (
    <dialog class="linked" id="context-dialog" ref={dialog} aria-label={albumWords.review.context} onClose={onClose}>
      <Labelled id="context-text" label={albumWords.review.context}>
        <textarea id="context-text" rows={3} dir="auto" value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </Labelled>
      <div class="actions">
        <button type="button" class="button" onClick={onClose}>
          {albumWords.make.cancel}
        </button>
        <button
          type="button"
          class="button primary"
          onClick={() => {
            onApply(text.trim());
            onClose();
          }}
        >
          {albumWords.review.apply}
        </button>
      </div>
    </dialog>
  );
}

/** A picture of an album at its full size. */
export function Viewer({ row, onClose }: { row: AlbumRow; onClose: () => void }) {
  const dialog = useModal();
  const [url, setUrl] = useState<string | null>(null);
  useEffect(() => {
    let made: string | null = null;
    let isGone = false;
    void fileOf(row).then((file) => {
      if (file && !isGone) setUrl((made = URL.createObjectURL(file)));
    });
    return () => {
      isGone = true;
      if (made) URL.revokeObjectURL(made);
    };
  }, [row]);
  return (
    <dialog class="linked viewer" ref={dialog} aria-label={row.path} onClose={onClose}>
      {url ? <img src={url} alt={row.alt || row.path} /> : <p class="fine">{albumWords.review.states.missing}</p>}
      <div class="actions">
        <span class="fine" dir="auto">
          {row.path}
        </span>
        <button type="button" class="button" onClick={onClose}>
          {words.close}
        </button>
      </div>
    </dialog>
  );
}
