/** One picture of an album, with its texts. */
import { useEffect, useState } from "preact/hooks";
import { imageTag } from "../../exports/html.js";
import {
  changedByHand,
  cursor,
  edit,
  flagsOf,
  moveCursor,
  notDecorative,
  retry,
  reviewAndMove,
  setReviewed,
  toggle,
  writeAgain,
} from "../../state/album-review.js";
import { thumbnailOf } from "../../state/album-files.js";
import { announce } from "../../state/announce.js";
import { singleKeys } from "../../state/settings.js";
import type { AlbumRow, AlbumTask, Id } from "../../store/schema.js";
import { albumWords } from "../../words/albums.js";
import { words } from "../../words/index.js";
import { adviceOf } from "../problem.js";
import { AskAgain, Viewer } from "./dialogs.js";
import { focusPart } from "./focus.js";
import { Switch, TextField } from "./parts.js";

/** Letters that an alternative text should not pass. */
const WANTED = 125;

export function rowId(id: Id): string {
  return `row-${id}`;
}

/** The first text field of a row. */
export function fieldOf(row: HTMLElement | null): HTMLTextAreaElement | null {
  return row?.querySelector("textarea:not(:disabled)") ?? null;
}

interface RowProps {
  row: AlbumRow;
  task: AlbumTask;
  position: { at: number; of: number };
  isCursor: boolean;
  isSelected: boolean;
  isWorking: boolean;
}

export function Row({ row, task, position, isCursor, isSelected, isWorking }: RowProps) {
  const [asks, setAsks] = useState<"again" | "view" | null>(null);
  const state = isWorking && row.state === "waiting" ? "working" : row.state;
  const again = () => (changedByHand([row.id]) > 0 ? setAsks("again") : void writeAgain(row.album, [row.id]));
  return (
    <li
      class="album-row"
      id={rowId(row.id)}
      data-id={row.id}
      data-state={state}
      aria-label={albumWords.review.row(row.path, albumWords.review.states[state])}
      aria-setsize={position.of}
      aria-posinset={position.at}
      aria-keyshortcuts="j k Enter x r Space"
      tabIndex={isCursor ? 0 : -1}
      onFocus={() => (cursor.value = row.id)}
      onKeyDown={(event) => onRowKey(event, row, again)}
    >
      <div class="row-picture">
        <input type="checkbox" aria-label={albumWords.review.select(row.path)} checked={isSelected} onChange={() => toggle(row.id)} />
        <button type="button" class="row-thumbnail" aria-label={albumWords.review.view(row.path)} onClick={() => setAsks("view")}>
          <Thumbnail row={row} />
        </button>
      </div>
      <div class="row-texts">
        <p class="row-head">
          <span class="row-path" dir="auto">
            {row.path}
          </span>
          <span class="row-state">{albumWords.review.states[state]}</span>
        </p>
        {row.error && row.state === "failed" && <Failure row={row} />}
        {row.state === "missing" && <RetryButton row={row} />}
        <Texts row={row} task={task} />
        {row.maybeDecorative && !row.isDecorative && <Suggestion row={row} />}
        <Foot row={row} task={task} onAgain={again} />
      </div>
      {asks === "again" && <AskAgain album={row.album} ids={[row.id]} onClose={() => setAsks(null)} />}
      {asks === "view" && <Viewer row={row} onClose={() => setAsks(null)} />}
    </li>
  );
}

/** Keys of a row; those of its fields and buttons are theirs. */
function onRowKey(event: KeyboardEvent & { currentTarget: HTMLElement }, row: AlbumRow, again: () => void): void {
  const { currentTarget, target, key } = event;
  if (key === "Escape" && target !== currentTarget && target instanceof HTMLTextAreaElement) return currentTarget.focus();
  if (target !== currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
  const acts: Readonly<Record<string, () => void>> = {
    j: () => moveCursor(1),
    k: () => moveCursor(-1),
    Enter: () => fieldOf(currentTarget)?.focus(),
    x: () => void edit(row, { isDecorative: !row.isDecorative }),
    r: again,
    " ": () => toggle(row.id),
  };
  const act = key.length > 1 || key === " " || singleKeys.value ? acts[key] : undefined;
  if (!act) return;
  event.preventDefault();
  act();
}

function Texts({ row, task }: { row: AlbumRow; task: AlbumTask }) {
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || !event.ctrlKey) return;
    event.preventDefault();
    focusPart.value = "field";
    void reviewAndMove(row).then((isMore) => !isMore && announce(albumWords.review.last));
  };
  const lang = /^[a-z]{2,3}(-\w+)*$/i.test(row.language) ? row.language : undefined;
  const flags = flagsOf(row);
  return (
    <>
      {task.writes.includes("alt") && (
        <>
          <TextField
            label={albumWords.review.alt(row.path)}
            value={row.alt}
            lang={lang}
            isDisabled={row.isDecorative}
            onChange={(alt) => void edit(row, { alt })}
            onKeyDown={onKeyDown}
          />
          <p class="row-facts">
            <span class={row.alt.length > WANTED ? "over" : ""}>{albumWords.review.count(row.alt.length)}</span>
            {flags.map((flag) => (
              <span key={flag} class="flag" data-flag={flag}>
                {albumWords.review.flags[flag]}
              </span>
            ))}
          </p>
        </>
      )}
      {(["caption", "words"] as const).map(
        (name) =>
          (task.writes.includes(name) || row[name] !== "") && (
            <div class="labelled" key={name}>
              <span class="fine" aria-hidden="true">
                {albumWords.review[name]}
              </span>
              <TextField
                label={`${albumWords.review[name]}: ${row.path}`}
                value={row[name]}
                lang={lang}
                onChange={(text) => void edit(row, { [name]: text })}
                onKeyDown={onKeyDown}
              />
            </div>
          ),
      )}
    </>
  );
}

function Suggestion({ row }: { row: AlbumRow }) {
  return (
    <p class="suggests">
      {albumWords.review.perhaps}
      <button type="button" class="quiet" onClick={() => void edit(row, { isDecorative: true })}>
        {albumWords.review.markDecorative}
      </button>
      <button
        type="button"
        class="quiet"
        onClick={() => {
          void notDecorative(row);
          fieldOf(document.getElementById(rowId(row.id)))?.focus();
        }}
      >
        {albumWords.review.writeText}
      </button>
    </p>
  );
}

function Failure({ row }: { row: AlbumRow }) {
  const { title, next } = adviceOf({ code: row.error?.code ?? "" });
  return (
    <div class="row-failure">
      <p>
        {title} {next}
      </p>
      <RetryButton row={row} />
    </div>
  );
}

function RetryButton({ row }: { row: AlbumRow }) {
  return (
    <button type="button" class="quiet" onClick={() => void retry(row.album, [row.id])}>
      {albumWords.review.retry}
    </button>
  );
}

function Foot({ row, task, onAgain }: { row: AlbumRow; task: AlbumTask; onAgain: () => void }) {
  const isWritten = row.state === "done" || row.state === "reviewed";
  return (
    <div class="row-foot">
      {isWritten && (
        <Switch
          label={albumWords.review.reviewed}
          isOn={row.state === "reviewed"}
          onChange={(isOn) => void setReviewed(row.album, [row.id], isOn)}
        />
      )}
      {task.writes.includes("alt") && (
        <Switch
          label={albumWords.review.decorativeBox}
          isOn={row.isDecorative}
          onChange={(isDecorative) => void edit(row, { isDecorative })}
        />
      )}
      {isWritten && (
        <button type="button" class="quiet" aria-label={albumWords.review.againOf(row.path)} onClick={onAgain}>
          {albumWords.review.again}
        </button>
      )}
      <More row={row} />
    </div>
  );
}

function More({ row }: { row: AlbumRow }) {
  const [isOpen, setOpen] = useState(row.long !== "");
  const copy = (text: string) => void navigator.clipboard?.writeText(text).then(() => announce(words.answer.copied));
  return (
    <details class="row-more" open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary aria-label={`${albumWords.review.more}: ${row.path}`}>{albumWords.review.more}</summary>
      {isOpen && (
        <div class="sheet-fields">
          <Named label={albumWords.review.long} path={row.path} value={row.long} onChange={(long) => void edit(row, { long })} />
          <Named
            label={albumWords.review.context}
            path={row.path}
            value={row.context}
            onChange={(context) => void edit(row, { context })}
          />
          {row.had !== null && (
            <p>
              <span class="fine">{albumWords.review.had}: </span>
              <span dir="auto">{row.had}</span>
            </p>
          )}
          <div>
            <button type="button" class="quiet" onClick={() => copy(row.alt)}>
              {albumWords.review.copy}
            </button>
            <button type="button" class="quiet" onClick={() => copy(imageTag(row))}>
              {albumWords.review.copyTag}
            </button>
          </div>
        </div>
      )}
    </details>
  );
}

function Named({ label, path, value, onChange }: { label: string; path: string; value: string; onChange: (value: string) => void }) {
  return (
    <div class="labelled">
      <span class="fine" aria-hidden="true">
        {label}
      </span>
      <TextField label={`${label}: ${path}`} value={value} onChange={onChange} />
    </div>
  );
}

function Thumbnail({ row }: { row: AlbumRow }) {
  const [url, setUrl] = useState<string | null>(null);
  // It is made when the file is first read, and again when a missing one is found.
  const version = `${row.width > 0} ${row.state === "missing"}`;
  // biome-ignore lint/correctness/useExhaustiveDependencies: changes of a row's texts do not change its picture.
  useEffect(() => {
    let made: string | null = null;
    let isGone = false;
    void thumbnailOf(row).then(
      (blob) => blob && !isGone && setUrl((made = URL.createObjectURL(blob))),
      () => undefined,
    );
    return () => {
      isGone = true;
      if (made) URL.revokeObjectURL(made);
    };
  }, [row.id, version]);
  return url ? <img src={url} alt="" /> : <span class="no-thumbnail" aria-hidden="true" />;
}
