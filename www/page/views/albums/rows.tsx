/** The rows of an album: a part of them is in the document, with room above and below for the others. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useSignalEffect } from "@preact/signals";
import { cursor, filter, filtered, selected } from "../../state/album-review.js";
import { runOf } from "../../state/album-run.js";
import type { Album, AlbumRow, Id } from "../../store/schema.js";
import { albumWords } from "../../words/albums.js";
import { focusPart } from "./focus.js";
import { fieldOf, Row, rowId } from "./row.js";

/** Rows in the document, those before the first visible one, and the steps in which they change. */
const [MOST, BEFORE, STEP] = [36, 12, 6];
/** Height of a row that has not been shown yet, in pixels. */
const ESTIMATE = 210;

/** A row's place in the list of the filter. */
interface Place {
  from: number;
  to: number;
}

export function Rows({ album }: { album: Album }) {
  const list = filtered.value;
  const [start, setStart] = useState(0);
  const box = useRef<HTMLUListElement>(null);
  const heights = useRef(new Map<Id, number>());
  const [, redraw] = useState(0);
  const from = Math.max(0, Math.min(start, list.length - MOST));
  const shownRows = list.slice(from, from + MOST);
  useScroll(box, list, heights.current, setStart);
  useLayoutEffect(() => {
    if (measure(box.current, heights.current)) redraw((count) => count + 1);
  });
  useSignalEffect(() => {
    if (filter.value) setStart(0);
  });
  useCursor(setStart, from);
  const working = runOf(album.id).working.value;
  if (list.length === 0) return <p class="fine">{albumWords.review.nothing}</p>;
  return (
    <ul class="album-rows" id="album-rows" ref={box} aria-label={albumWords.review.rows}>
      <Room height={heightOf(list, { from: 0, to: from }, heights.current)} />
      {shownRows.map((row, index) => (
        <Row
          key={row.id}
          row={row}
          task={album.task}
          position={{ at: from + index + 1, of: list.length }}
          isCursor={row.id === cursor.value || (from + index === 0 && cursor.value === null)}
          isSelected={selected.value.has(row.id)}
          isWorking={working.has(row.id)}
        />
      ))}
      <Room height={heightOf(list, { from: from + MOST, to: list.length }, heights.current)} />
    </ul>
  );
}

/** The height of rows that are not in the document. Set as a property, because the policy of the page forbids styles in attributes. */
function Room({ height }: { height: number }) {
  const item = useRef<HTMLLIElement>(null);
  useLayoutEffect(() => {
    if (item.current) item.current.style.height = `${height}px`;
  }, [height]);
  return <li class="room" ref={item} aria-hidden="true" />;
}

function heightOf(list: readonly AlbumRow[], { from, to }: Place, heights: ReadonlyMap<Id, number>): number {
  let sum = 0;
  for (const { id } of list.slice(from, to)) sum += heights.get(id) ?? ESTIMATE;
  return sum;
}

/** Keeps the heights of the rows that are in the document; returns true if one has changed. */
function measure(box: HTMLElement | null, heights: Map<Id, number>): boolean {
  let isChanged = false;
  for (const item of box?.querySelectorAll<HTMLElement>(".album-row") ?? []) {
    const id = item.dataset["id"] ?? "";
    const height = item.offsetHeight;
    if (Math.abs((heights.get(id) ?? ESTIMATE) - height) > 1) isChanged = true;
    heights.set(id, height);
  }
  return isChanged;
}

/** Moves the part that is in the document when the page is scrolled. */
function useScroll(
  box: { current: HTMLElement | null },
  list: readonly AlbumRow[],
  heights: ReadonlyMap<Id, number>,
  setStart: (start: number) => void,
): void {
  useEffect(() => {
    let frame = 0;
    const place = () => {
      frame = 0;
      const top = -(box.current?.getBoundingClientRect().top ?? 0);
      let [at, below] = [0, 0];
      for (; at < list.length && below < top; at++) below += heights.get(list[at]?.id ?? "") ?? ESTIMATE;
      setStart(Math.max(0, Math.floor((at - BEFORE) / STEP) * STEP));
    };
    const onScroll = () => {
      frame ||= requestAnimationFrame(place);
    };
    addEventListener("scroll", onScroll, { passive: true });
    return () => {
      removeEventListener("scroll", onScroll);
      cancelAnimationFrame(frame);
    };
  }, [list, box, heights, setStart]);
}

/** Gives the focus to the row with the cursor, once it is in the document. */
function useCursor(setStart: (start: number) => void, from: number): void {
  const focused = useRef<Id | null>(null);
  const place = useRef(setStart);
  const wanted = cursor.value;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the cursor is a signal that was read above.
  useLayoutEffect(() => {
    if (wanted === null || wanted === focused.current) return;
    const at = filtered.peek().findIndex(({ id }) => id === wanted);
    if (at < 0) return;
    if (at < from || at >= from + MOST) return place.current(Math.max(0, at - BEFORE));
    focused.current = wanted;
    const row = document.getElementById(rowId(wanted));
    const target = focusPart.value === "field" ? (fieldOf(row) ?? row) : row;
    focusPart.value = "row";
    if (target !== document.activeElement && !row?.contains(document.activeElement)) target?.focus();
    row?.scrollIntoView({ block: "nearest" });
  }, [wanted, from]);
}
