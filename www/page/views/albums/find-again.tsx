/** Gives the files of an album again, when some are not there any more. */
import { useState } from "preact/hooks";
import { listChosen, listFolder, type Listing } from "../../pictures/folder.js";
import { findAgain } from "../../state/album-files.js";
import { all } from "../../state/album-review.js";
import { albumOf } from "../../state/albums.js";
import { announce } from "../../state/announce.js";
import { showProblem } from "../../state/problem.js";
import type { Id } from "../../store/schema.js";
import { albumWords } from "../../words/albums.js";
import { FileButton } from "./make.js";

export function FindAgain({ album }: { album: Id }) {
  const [told, setTold] = useState("");
  if (!all.value.some(({ state }) => state === "missing")) return null;
  const find = async (listing: Promise<Listing>) => {
    try {
      const text = albumWords.review.found(await findAgain(album, await listing));
      setTold(text);
      announce(text);
    } catch (thrown) {
      if ((thrown as DOMException).name !== "AbortError") showProblem(thrown);
    }
  };
  const pick = (window as { showDirectoryPicker?: () => Promise<FileSystemDirectoryHandle> }).showDirectoryPicker;
  return (
    <div class="notice" id="find-again">
      <p>
        {albumWords.review.states.missing} {told}
      </p>
      {pick && albumOf(album)?.keeping === "folder" ? (
        <button type="button" class="button" onClick={() => void find(pick().then((folder) => listFolder(folder)))}>
          {albumWords.review.findFolder}
        </button>
      ) : (
        <FileButton
          id="find-files"
          label={albumWords.review.findFiles}
          isFolder={false}
          onFiles={(input) => void find(Promise.resolve(listChosen([...(input.files ?? [])])))}
        />
      )}
    </div>
  );
}
