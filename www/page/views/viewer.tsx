/** A picture: zoomed, turned, and with a frame around the part to ask about. */
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { between, HANDLES, moved, resized, WHOLE, withNumber, type Handle } from "../pictures/parts.js";
import { turned, type Turn } from "../pictures/pixels.js";
import { closeDialog, openDialog } from "../state/dialog.js";
import { foundOn } from "../state/found.js";
import { pictures, type Picture } from "../state/pictures.js";
import { addPart } from "../state/part.js";
import type { Part, PictureName } from "../store/schema.js";
import { lookWords } from "../words/looks.js";
import { Marks } from "./marks.js";
import { Modal } from "./modal.js";

/** Part of the window's height that a picture takes at first. */
const HEIGHT = 62;
const MOST_ZOOM = 8;

export function PictureDialog({ picture: { id, name }, frame }: { picture: PictureName; frame: { part: Part; turn: Turn } | undefined }) {
  const picture = pictures.value.get(id);
  if (!picture) return null;
  return (
    <Modal id="picture-dialog" heading={name} first="picture-frame" isWide>
      <Viewer picture={picture} first={frame ?? { part: WHOLE, turn: 0 }} />
    </Modal>
  );
}

function Viewer({ picture, first }: { picture: Picture; first: { part: Part; turn: Turn } }) {
  const [turn, setTurn] = useState(first.turn);
  const [part, setPart] = useState(first.part);
  const [zoom, setZoom] = useState(1);
  const [isFailed, setFailed] = useState(false);
  const isWhole = part.width === 1 && part.height === 1 && turn === 0;
  const take = () => {
    if (isWhole) return;
    addPart(picture, part, turn).then(closeDialog, () => setFailed(true));
  };
  const turnOnce = () => {
    setTurn(((turn + 90) % 360) as Turn);
    setPart(WHOLE);
  };
  const whole = pictures.value.get(picture.from?.id ?? "");
  return (
    <>
      <div class="stage">
        <Sheet picture={picture} turn={turn} zoom={zoom}>
          <Frame part={part} onChange={setPart} onTake={take} />
          <Marks found={foundOn(picture.id)} turn={turn} />
        </Sheet>
      </div>
      <div class="viewer-tools">
        <label>
          {lookWords.viewer.zoom}
          <input
            type="range"
            id="picture-zoom"
            min={1}
            max={MOST_ZOOM}
            step={0.25}
            value={zoom}
            onInput={(event) => setZoom(Number(event.currentTarget.value))}
          />
        </label>
        <button type="button" id="picture-turn" onClick={turnOnce}>
          {lookWords.viewer.turn}
        </button>
        <Numbers part={part} onChange={setPart} />
      </div>
      <p class="fine" id="frame-help">
        {lookWords.viewer.frameHelp}
      </p>
      {isFailed && <p role="alert">{lookWords.viewer.failed}</p>}
      <div class="choices">
        <button type="button" class="primary" id="picture-take" disabled={isWhole} onClick={take}>
          {lookWords.viewer.take}
        </button>
        <button
          type="button"
          id="picture-reset"
          disabled={isWhole && zoom === 1}
          onClick={() => {
            setPart(WHOLE);
            setTurn(0);
            setZoom(1);
          }}
        >
          {lookWords.viewer.reset}
        </button>
        {whole && picture.from && (
          <button
            type="button"
            id="picture-original"
            onClick={() => picture.from && openDialog({ kind: "picture", picture: whole, frame: picture.from })}
          >
            {lookWords.viewer.original}
          </button>
        )}
      </div>
    </>
  );
}

/** Transforms of the upright picture, whose corner stays at the corner of the sheet. */
const TRANSFORMS: Readonly<Record<Turn, string>> = {
  0: "none",
  90: "rotate(90deg) translate(0, -100%)",
  180: "rotate(180deg) translate(-100%, -100%)",
  270: "rotate(270deg) translate(-100%, 0)",
};

interface SheetProps {
  picture: Picture;
  turn: Turn;
  zoom: number;
  children: ComponentChildren;
}

/** The turned picture, with its size for what lies over it. */
function Sheet({ picture, turn, zoom, children }: SheetProps) {
  const { width, height } = turned(picture, turn);
  const size = {
    width: `calc(min(100%, ${(HEIGHT * width) / height}vh) * ${zoom})`,
    aspectRatio: `${width} / ${height}`,
  };
  const image = {
    width: `${(100 * picture.width) / width}%`,
    height: `${(100 * picture.height) / height}%`,
    transform: TRANSFORMS[turn],
  };
  return (
    <div class="sheet" style={size}>
      <img src={picture.url} alt={lookWords.viewer.image(picture.name)} style={image} draggable={false} />
      {children}
    </div>
  );
}

interface FrameProps {
  part: Part;
  onChange: (part: Part) => void;
  onTake: () => void;
}

type Point = { x: number; y: number };

/** A gesture: the frame is moved or resized, or a new one is drawn. */
type Drag = { from: Point; part: Part; handle: Handle | "inside" | "new" };

/** Percent that arrow keys move by: alone, and with Shift. */
const STEP = { small: 0.01, large: 0.1 };

/** Directions of the arrow keys. */
const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

function Frame({ part, onChange, onTake }: FrameProps) {
  const layer = useRef<HTMLDivElement>(null);
  const drag = useRef<Drag | null>(null);
  const pointOf = ({ clientX, clientY }: PointerEvent): Point => {
    const { left, top, width, height } = layer.current?.getBoundingClientRect() ?? new DOMRect(0, 0, 1, 1);
    return { x: (clientX - left) / width, y: (clientY - top) / height };
  };
  const begin = (event: PointerEvent) => {
    if (event.button !== 0 || !(event.target instanceof Element)) return;
    const handle = event.target.getAttribute("data-handle") as Handle | "inside" | null;
    // The frame around the whole picture leaves no room to draw a new one.
    const isWhole = part.width === 1 && part.height === 1;
    drag.current = { from: pointOf(event), part, handle: handle === null || (handle === "inside" && isWhole) ? "new" : handle };
    layer.current?.setPointerCapture(event.pointerId);
  };
  // The browser would scroll to what it gives the focus, away from the pointer.
  const focus = (event: MouseEvent) => {
    event.preventDefault();
    layer.current?.querySelector<HTMLElement>(".crop")?.focus({ preventScroll: true });
  };
  const follow = (event: PointerEvent) => {
    if (!drag.current) return;
    const { from, part: before, handle } = drag.current;
    const at = pointOf(event);
    const [dx, dy] = [at.x - from.x, at.y - from.y];
    if (handle === "new") onChange(between(from, at));
    else onChange(handle === "inside" ? moved(before, dx, dy) : resized(before, handle, dx, dy));
  };
  const end = () => {
    drag.current = null;
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const [dx, dy] = ARROWS[event.key] ?? [0, 0];
    if (event.key === "Enter") onTake();
    else if (dx === 0 && dy === 0) return;
    else {
      const step = event.shiftKey ? STEP.large : STEP.small;
      onChange(event.altKey ? resized(part, "se", dx * step, dy * step) : moved(part, dx * step, dy * step));
    }
    event.preventDefault();
  };
  const style = {
    left: `${100 * part.x}%`,
    top: `${100 * part.y}%`,
    width: `${100 * part.width}%`,
    height: `${100 * part.height}%`,
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the frame in it works by keys, and the number fields do the same.
    <div
      class="frame-layer"
      ref={layer}
      onPointerDown={begin}
      onPointerMove={follow}
      onPointerUp={end}
      onPointerCancel={end}
      onMouseDown={focus}
    >
      {/* biome-ignore lint/a11y/useSemanticElements: a frame over a picture is no set of form fields. */}
      <div
        class="crop"
        id="picture-frame"
        role="group"
        aria-label={lookWords.viewer.frame}
        aria-describedby="frame-help"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it is moved by keys.
        tabIndex={0}
        data-handle="inside"
        style={style}
        onKeyDown={onKeyDown}
      >
        {HANDLES.map((handle) => (
          <span key={handle} class={`handle ${handle}`} data-handle={handle} />
        ))}
      </div>
    </div>
  );
}

const NUMBERS = [
  ["x", "left"],
  ["y", "top"],
  ["width", "width"],
  ["height", "height"],
] as const;

function Numbers({ part, onChange }: { part: Part; onChange: (part: Part) => void }) {
  return (
    <fieldset class="numbers">
      <legend class="visually-hidden">{lookWords.viewer.frame}</legend>
      {NUMBERS.map(([name, word]) => (
        <label key={name}>
          {lookWords.viewer[word]}
          <input
            type="number"
            id={`frame-${word}`}
            min={0}
            max={100}
            step={0.1}
            value={Math.round(1000 * part[name]) / 10}
            onChange={(event) => onChange(withNumber(part, name, Number(event.currentTarget.value) / 100))}
          />
        </label>
      ))}
    </fieldset>
  );
}
