/** An album: its run, its filters, and its rows. */
import { useEffect, useState } from "preact/hooks";
import { activities } from "../../state/album-activity.js";
import {
  all,
  changedByHand,
  filter,
  filterCounts,
  filtered,
  FILTERS,
  openAlbum,
  remove,
  selected,
  setContext,
  setReviewed,
  shown,
  writeAgain,
} from "../../state/album-review.js";
import { pause, runOf, start, watchIfWritten } from "../../state/album-run.js";
import { albumOf, changeAlbum, deleteAlbum, loadAlbums } from "../../state/albums.js";
import { focusOn } from "../../state/focus.js";
import { addressOf, go } from "../../state/route.js";
import type { Album, Id } from "../../store/schema.js";
import { albumWords } from "../../words/albums.js";
import { adviceOf } from "../problem.js";
import { AskAgain, ContextDialog } from "./dialogs.js";
import { ExportDialog } from "./export-dialog.js";
import { FindAgain } from "./find-again.js";
import { Labelled } from "./parts.js";
import { Rows } from "./rows.js";
import { TaskFields } from "./task.js";

export function OpenAlbum({ id }: { id: Id }) {
  const [isThere, setThere] = useState<boolean | null>(null);
  useEffect(() => {
    void loadAlbums()
      .then(() => openAlbum(id))
      .then(async (is) => {
        setThere(is);
        focusOn("albums-heading");
        if (is) await watchIfWritten(id);
      });
  }, [id]);
  const album = albumOf(id);
  const isOpen = isThere && album && shown.value?.id === id;
  return (
    <>
      <a class="back" href={addressOf({ view: "albums", id: null })}>
        ‹ {albumWords.back}
      </a>
      {isThere === false && <p>{albumWords.gone}</p>}
      {isOpen && <Head album={album} />}
      {isOpen && (
        <>
          <Filters />
          <Selection album={id} />
          <Rows album={album} />
        </>
      )}
    </>
  );
}

function Head({ album }: { album: Album }) {
  const [isExporting, setExporting] = useState(false);
  return (
    <>
      <div class="talk-head">
        <h2 id="albums-heading" tabIndex={-1} dir="auto">
          {album.title}
        </h2>
        <button type="button" class="button" id="album-export" onClick={() => setExporting(true)}>
          {albumWords.exports.open}
        </button>
        <RunButton id={album.id} />
      </div>
      <RunState id={album.id} />
      <Settings album={album} />
      {isExporting && <ExportDialog album={album} onClose={() => setExporting(false)} />}
    </>
  );
}

function activityOf(id: Id) {
  return activities.value.find(({ album }) => album === id);
}

function RunButton({ id }: { id: Id }) {
  const state = activityOf(id)?.state;
  const isRunning = state === "running" || state === "held" || state === "model";
  const { waiting } = filterCounts.value;
  if (!isRunning && waiting === 0) return null;
  const label = isRunning
    ? albumWords.run.pause
    : state === "folder"
      ? albumWords.run.openFolder
      : waiting < all.value.length
        ? albumWords.run.resume
        : albumWords.run.start;
  return (
    <button
      type="button"
      class="button primary"
      id="album-run"
      disabled={state === "elsewhere"}
      onClick={() => void (isRunning ? pause(id) : start(id, true))}
    >
      {label}
    </button>
  );
}

/** Progress of the album, and the reason if it does not continue. */
function RunState({ id }: { id: Id }) {
  const { pace, problem } = runOf(id);
  const state = activityOf(id)?.state ?? "idle";
  const total = all.value.length;
  const done = total - filterCounts.value.waiting;
  const isRunning = state === "running";
  const text = albumWords.run.pace(done, total, isRunning ? pace.value : null);
  const fault = state === "failed" ? problem.value : null;
  return (
    <div class="album-run" data-state={state} id="album-state">
      <p>
        {text} <span class="fine">{albumWords.run.states[state]}</span>
      </p>
      <progress aria-label={text} max={total} value={done} />
      {fault && (
        <div class="problem" role="alert" data-code={fault.code}>
          <p class="problem-title">{adviceOf(fault).title}</p>
          <p>{adviceOf(fault).next}</p>
          <code>
            {fault.code}: {fault.message}
          </code>
        </div>
      )}
    </div>
  );
}

function Settings({ album: { id, title, task } }: { album: Album }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details class="album-settings" open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{albumWords.settings}</summary>
      {isOpen && (
        <div class="sheet-fields">
          <Labelled id="settings-title" label={albumWords.rename}>
            <input
              id="settings-title"
              dir="auto"
              value={title}
              onChange={(event) => void changeAlbum(id, { title: event.currentTarget.value.trim() || albumWords.untitled })}
            />
          </Labelled>
          <p class="fine">{albumWords.settingsHelp}</p>
          <TaskFields prefix="settings" task={task} onChange={(changed) => void changeAlbum(id, { task: changed })} />
          <button
            type="button"
            class="quiet"
            id="album-delete"
            onClick={() => {
              void pause(id).then(() => deleteAlbum(id, albumWords.deleted(title)));
              go({ view: "albums", id: null });
            }}
          >
            {albumWords.delete}
          </button>
        </div>
      )}
    </details>
  );
}

function Filters() {
  const found = filterCounts.value;
  return (
    <fieldset class="filters" id="filters">
      <legend class="visually-hidden">{albumWords.review.filters}</legend>
      {FILTERS.map((name) => (
        <button
          key={name}
          type="button"
          class="suggestion"
          data-filter={name}
          aria-pressed={filter.value === name}
          onClick={() => (filter.value = name)}
        >
          {albumWords.review.filter(albumWords.review[name], found[name])}
        </button>
      ))}
      <details class="menu keys-menu">
        <summary>{albumWords.review.keys}</summary>
        <dl>
          {albumWords.review.keyList.map(([keys, does]) => (
            <div key={keys}>
              <dt>
                {keys.split(" ").map((key) => (
                  <kbd key={key}>{key}</kbd>
                ))}
              </dt>
              <dd>{does}</dd>
            </div>
          ))}
        </dl>
      </details>
    </fieldset>
  );
}

/** Acts for the rows that are selected, and for those that are not there any more. */
function Selection({ album }: { album: Id }) {
  const ids = [...selected.value];
  const [asks, setAsks] = useState<"context" | "again" | null>(null);
  const again = () => (changedByHand(ids) > 0 ? setAsks("again") : void writeAgain(album, ids));
  return (
    <>
      {filterCounts.value.failed > 0 && <FindAgain album={album} />}
      {ids.length > 0 && (
        <div class="selection" role="toolbar" aria-label={albumWords.review.selected(ids.length)} id="selection">
          <span>{albumWords.review.selected(ids.length)}</span>
          <button type="button" class="quiet" onClick={() => void setReviewed(album, ids, true)}>
            {albumWords.review.markReviewed}
          </button>
          <button type="button" class="quiet" onClick={again}>
            {albumWords.review.writeAgain}
          </button>
          <button type="button" class="quiet" onClick={() => setAsks("context")}>
            {albumWords.review.setContext}
          </button>
          <button type="button" class="quiet" onClick={() => void remove(album, ids)}>
            {albumWords.review.remove}
          </button>
          <button type="button" class="quiet" onClick={() => (selected.value = new Set(filtered.value.map(({ id }) => id)))}>
            {albumWords.review.selectAll}
          </button>
          <button type="button" class="quiet" onClick={() => (selected.value = new Set())}>
            {albumWords.review.selectNone}
          </button>
        </div>
      )}
      {asks === "again" && <AskAgain album={album} ids={ids} onClose={() => setAsks(null)} />}
      {asks === "context" && <ContextDialog onApply={(text) => void setContext(album, ids, text)} onClose={() => setAsks(null)} />}
    </>
  );
}
