/** The dialog that exports an album, and reads a changed table back. */
import { useEffect, useState } from "preact/hooks";
import { exportAlbum, FORMATS, importTable, type Exported, type Format } from "../../state/album-export.js";
import { all } from "../../state/album-review.js";
import { announce } from "../../state/announce.js";
import { showProblem } from "../../state/problem.js";
import { removeArchives } from "../../state/save.js";
import type { Album } from "../../store/schema.js";
import { albumWords } from "../../words/albums.js";
import { words } from "../../words/index.js";
import { useModal } from "../dom.js";
import { FileButton } from "./make.js";
import { Labelled, Switch } from "./parts.js";

type Pickers = { showDirectoryPicker?: (options: object) => Promise<FileSystemDirectoryHandle> };

export function ExportDialog({ album, onClose }: { album: Album; onClose: () => void }) {
  const dialog = useModal("export-format");
  const [format, setFormat] = useState<Format>("xmp");
  const [onlyReviewed, setOnlyReviewed] = useState(false);
  const [language, setLanguage] = useState(/^[a-z]{2,3}(-\w+)*$/i.test(album.task.language) ? album.task.language : "");
  const [hasThumbnails, setThumbnails] = useState(true);
  const [told, setTold] = useState<string[]>([]);
  const [done, setDone] = useState<number | null>(null);
  const [abort] = useState(() => new AbortController());
  useEffect(() => () => abort.abort(), [abort]);
  const reviewed = all.value.filter(({ state }) => state === "reviewed").length;
  const total = onlyReviewed ? reviewed : all.value.length;
  const pick = (window as Pickers).showDirectoryPicker;
  const run = async (folder: FileSystemDirectoryHandle | null) => {
    setTold([]);
    setDone(0);
    try {
      if (!folder) await removeArchives().catch(() => undefined);
      const wanted = { format, onlyReviewed, language, hasThumbnails, folder };
      const lines = linesOf(await exportAlbum(album, wanted, { signal: abort.signal, onProgress: setDone }));
      setTold(lines);
      announce(lines.join(" "));
    } catch (thrown) {
      if (!abort.signal.aborted) showProblem(thrown);
    }
    setDone(null);
  };
  const pickFolder = () =>
    void pick?.({ mode: "readwrite", id: "ocelli-export" }).then(
      run,
      (thrown: DOMException) => thrown.name !== "AbortError" && showProblem(thrown),
    );
  const isOfFiles = format === "xmp" || format === "text";
  return (
    <dialog class="linked sheet" id="export-dialog" ref={dialog} aria-labelledby="export-heading" onClose={onClose}>
      <h2 id="export-heading">{albumWords.exports.heading}</h2>
      <Labelled id="export-format" label={albumWords.exports.format}>
        <select id="export-format" value={format} onChange={(event) => setFormat(event.currentTarget.value as Format)}>
          {FORMATS.map((name) => (
            <option key={name} value={name}>
              {albumWords.exports.formats[name]}
            </option>
          ))}
        </select>
      </Labelled>
      <Labelled id="export-which" label={albumWords.exports.which}>
        <select id="export-which" value={String(onlyReviewed)} onChange={(event) => setOnlyReviewed(event.currentTarget.value === "true")}>
          <option value="false">{albumWords.exports.all(all.value.length)}</option>
          <option value="true">{albumWords.exports.reviewed(reviewed)}</option>
        </select>
      </Labelled>
      {format === "xmp" && (
        <Labelled id="export-language" label={albumWords.exports.language}>
          <input id="export-language" value={language} onInput={(event) => setLanguage(event.currentTarget.value.trim())} />
          <p class="fine">{albumWords.exports.xmpHelp}</p>
        </Labelled>
      )}
      {format === "html" && <Switch label={albumWords.exports.thumbnails} isOn={hasThumbnails} onChange={setThumbnails} />}
      {done !== null && (
        <p role="status">
          {albumWords.exports.progress(done, total)} <progress aria-label={albumWords.exports.heading} max={total} value={done} />
        </p>
      )}
      <div role="status" id="export-told">
        {told.map((line) => (
          <p key={line}>{line}</p>
        ))}
      </div>
      <div class="choices">
        <button type="button" class="button primary" id="export-run" disabled={done !== null || total === 0} onClick={() => void run(null)}>
          {albumWords.exports.download}
        </button>
        {isOfFiles && pick && (
          <button type="button" class="button" id="export-folder" disabled={done !== null || total === 0} onClick={pickFolder}>
            {albumWords.exports.toFolder}
          </button>
        )}
        <Import album={album} onTold={(line) => setTold([line])} />
        <button type="button" class="button" id="export-close" onClick={onClose}>
          {words.close}
        </button>
      </div>
    </dialog>
  );
}

function Import({ album, onTold }: { album: Album; onTold: (line: string) => void }) {
  const read = async (input: HTMLInputElement) => {
    const file = input.files?.[0];
    input.value = "";
    if (!file) return;
    const result = await importTable(album.id, await file.text());
    const line = result ? albumWords.exports.imported(result.changed, result.unknown) : albumWords.exports.notATable;
    onTold(line);
    announce(line);
  };
  return (
    <FileButton
      id="import-table"
      label={albumWords.exports.import}
      isFolder={false}
      accept=".csv,text/csv"
      onFiles={(input) => void read(input)}
    />
  );
}

function linesOf({ rows, sidecars, missing }: Exported): string[] {
  return [
    albumWords.exports.done(rows - missing.length),
    ...(sidecars.length > 0 ? [albumWords.exports.sidecars(sidecars.length)] : []),
    ...(missing.length > 0 ? [albumWords.exports.missing(missing.length)] : []),
  ];
}
