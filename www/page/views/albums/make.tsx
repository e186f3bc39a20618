/** The dialog for a new album. */
import { useEffect, useState } from "preact/hooks";
import { listChosen, listFolder, type Listing } from "../../pictures/folder.js";
import { makeAlbum, roomFor } from "../../state/album-files.js";
import { startAlbum } from "../../state/album-start.js";
import { showProblem } from "../../state/problem.js";
import { go } from "../../state/route.js";
import { protect } from "../../state/models.js";
import type { Keeping } from "../../store/schema.js";
import { albumWords } from "../../words/albums.js";
import { useModal } from "../dom.js";
import { Labelled } from "./parts.js";
import { defaultTask, TaskFields } from "./task.js";

type Pickers = { showDirectoryPicker?: (options: object) => Promise<FileSystemDirectoryHandle> };

export function NewAlbum({ given, onClose }: { given: Promise<Listing> | null; onClose: () => void }) {
  const dialog = useModal();
  const [listing, setListing] = useState<Listing | null>(null);
  const [isReading, setReading] = useState(false);
  const [title, setTitle] = useState<string | null>(null);
  const [task, setTask] = useState(defaultTask);
  const [keeping, setKeeping] = useState<Keeping | null>(null);
  const [copied, setCopied] = useState<number | null>(null);
  const [abort] = useState(() => new AbortController());
  const room = useRoom(listing);
  const take = async (reading: Promise<Listing>) => {
    setReading(true);
    await reading.then(setListing, (thrown: DOMException) => thrown.name !== "AbortError" && showProblem(thrown));
    setReading(false);
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was given is taken once.
  useEffect(() => void (given && take(given)), [given]);
  useEffect(() => () => abort.abort(), [abort]);
  const isTooLarge = room !== null && room.free !== null && room.bytes > room.free / 2;
  const kept: Keeping = listing?.folder ? "folder" : (keeping ?? (isTooLarge ? "visit" : "copies"));
  const name = title ?? (listing?.title || albumWords.untitled);
  const submit = async () => {
    if (!listing) return;
    void protect();
    setCopied(0);
    try {
      const id = await makeAlbum(
        listing,
        { title: name.trim() || albumWords.untitled, task, keeping: kept },
        { signal: abort.signal, onProgress: setCopied },
      );
      onClose();
      go({ view: "albums", id });
      void startAlbum(id);
    } catch (thrown) {
      if (!abort.signal.aborted) showProblem(thrown);
      onClose();
    }
  };
  return (
    <dialog class="linked sheet" id="new-album" ref={dialog} aria-labelledby="new-album-heading" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <h2 id="new-album-heading">{albumWords.make.heading}</h2>
        <Sources onListing={(reading) => void take(reading)} />
        <div role="status">
          {isReading
            ? albumWords.make.reading
            : listing &&
              (listing.files.length === 0 ? albumWords.make.none : albumWords.make.found(listing.files.length, room?.bytes ?? 0))}
        </div>
        {listing && listing.leftOut.length > 0 && <LeftOut listing={listing} />}
        {listing && listing.files.length > 0 && (
          <>
            <Labelled id="album-title" label={albumWords.make.title}>
              <input id="album-title" dir="auto" value={name} onInput={(event) => setTitle(event.currentTarget.value)} />
            </Labelled>
            <TaskFields prefix="album" task={task} onChange={setTask} />
            {listing.folder ? (
              <p class="fine">{albumWords.make.folderKept}</p>
            ) : (
              <Labelled id="album-keeping" label={albumWords.make.keeping}>
                <select id="album-keeping" value={kept} onChange={(event) => setKeeping(event.currentTarget.value as Keeping)}>
                  <option value="copies">{albumWords.make.copies}</option>
                  <option value="visit">{albumWords.make.visit}</option>
                </select>
                {isTooLarge && <p class="fine">{albumWords.make.tooLarge(room.bytes, room.free ?? 0)}</p>}
              </Labelled>
            )}
          </>
        )}
        {copied !== null && listing && (
          <p role="status">
            {albumWords.make.copying(copied, listing.files.length)}{" "}
            <progress aria-label={albumWords.make.heading} max={listing.files.length} value={copied} />
          </p>
        )}
        <div class="actions">
          <button type="button" onClick={onClose}>
            {albumWords.make.cancel}
          </button>
          <button
            type="submit"
            class="button primary"
            id="album-make"
            disabled={!listing?.files.length || task.writes.length === 0 || copied !== null}
          >
            {albumWords.make.start}
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** Ways to give pictures: a folder that can be opened again, a folder's files, or single files. */
function Sources({ onListing }: { onListing: (reading: Promise<Listing>) => void }) {
  const pick = (window as Pickers).showDirectoryPicker;
  const fromFiles = (input: HTMLInputElement) => {
    const files = [...(input.files ?? [])];
    input.value = "";
    if (files.length > 0) onListing(Promise.resolve(listChosen(files)));
  };
  return (
    <div class="drop" id="album-drop">
      {pick ? (
        <button
          type="button"
          class="button"
          id="album-folder"
          onClick={() => onListing(pick({ id: "ocelli-album" }).then((folder) => listFolder(folder)))}
        >
          {albumWords.make.folder}
        </button>
      ) : (
        <FileButton id="album-folder-files" label={albumWords.make.folder} isFolder={true} onFiles={fromFiles} />
      )}
      <FileButton id="album-files" label={albumWords.make.files} isFolder={false} onFiles={fromFiles} />
      <p>{albumWords.make.drop}</p>
    </div>
  );
}

export function FileButton({
  id,
  label,
  isFolder,
  accept = "image/*",
  onFiles,
}: {
  id: string;
  label: string;
  isFolder: boolean;
  accept?: string;
  onFiles: (input: HTMLInputElement) => void;
}) {
  return (
    <span class="file-button">
      <input
        type="file"
        id={id}
        accept={isFolder ? undefined : accept}
        multiple={accept === "image/*"}
        {...(isFolder ? { webkitdirectory: true } : {})}
        onChange={(event) => onFiles(event.currentTarget)}
      />
      <label class="button" for={id}>
        {label}
      </label>
    </span>
  );
}

function LeftOut({ listing: { leftOut } }: { listing: Listing }) {
  return (
    <details class="left-out">
      <summary>{albumWords.make.leftOut(leftOut.length)}</summary>
      <ul>
        {leftOut.slice(0, 200).map(({ path, reason }) => (
          <li key={path} dir="auto">
            {path}: {albumWords.make.reasons[reason]}
          </li>
        ))}
      </ul>
    </details>
  );
}

function useRoom(listing: Listing | null): { bytes: number; free: number | null } | null {
  const [room, setRoom] = useState<{ bytes: number; free: number | null } | null>(null);
  useEffect(() => {
    if (listing) void roomFor(listing).then(setRoom);
  }, [listing]);
  return room;
}
