/** Albums: the list, or the one that the address names. */
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { listChosen, listDropped, type Listing } from "../../pictures/folder.js";
import { current } from "../../state/engine.js";
import { isDemo } from "../../state/model-choice.js";
import { addressOf, route } from "../../state/route.js";
import { givenForAlbum } from "../../state/inbox.js";
import { loadAlbums } from "../../state/albums.js";
import { albumWords } from "../../words/albums.js";
import { OpenAlbum } from "./album.js";
import { List } from "./list.js";
import { NewAlbum } from "./make.js";

/** Files for a new album: none yet, or a listing that may still be read. */
export type Given = Promise<Listing> | null;

export function AlbumsView() {
  const making = useSignal<{ given: Given } | null>(null);
  const at = route.value;
  const id = at.view === "albums" ? at.id : null;
  useEffect(() => void loadAlbums(), []);
  useEffect(() => {
    if (!givenForAlbum.value) return;
    making.value = { given: Promise.resolve(listChosen([...givenForAlbum.value])) };
    givenForAlbum.value = null;
  }, [making]);
  useGivenFiles((given) => {
    making.value = { given };
  });
  return (
    <section class="talk albums" aria-labelledby="albums-heading">
      {current.value && isDemo(current.value) && (
        <p class="scope">
          {albumWords.demo} <a href={addressOf({ view: "models" })}>{albumWords.models}</a>
        </p>
      )}
      {id === null ? <List onMake={() => (making.value = { given: null })} /> : <OpenAlbum key={id} id={id} />}
      {making.value && <NewAlbum given={making.value.given} onClose={() => (making.value = null)} />}
    </section>
  );
}

/** Files that are dropped or pasted here are for an album, not for the conversation. */
function useGivenFiles(onFiles: (given: Promise<Listing>) => void): void {
  useEffect(() => {
    const take = (event: Event, transfer: DataTransfer | null, isDrop: boolean) => {
      if (!transfer?.files.length || document.querySelector("dialog[open]:not(#new-album)")) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      onFiles(isDrop ? listDropped(transfer) : Promise.resolve(listChosen([...transfer.files])));
    };
    const drop = (event: DragEvent) => take(event, event.dataTransfer, true);
    const paste = (event: ClipboardEvent) => take(event, event.clipboardData, false);
    document.addEventListener("drop", drop, true);
    document.addEventListener("paste", paste, true);
    return () => {
      document.removeEventListener("drop", drop, true);
      document.removeEventListener("paste", paste, true);
    };
  }, [onFiles]);
}
