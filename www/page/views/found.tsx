/** Places that were found: marked in the picture, and listed beside it. */
import { useState } from "preact/hooks";
import { placesCoco, placesJson, type PixelPlace, type PlacedPicture } from "../exports/places.js";
import { withMarks } from "../pictures/marked.js";
import { openDialog } from "../state/dialog.js";
import type { Found } from "../state/find.js";
import { pictures, type Picture } from "../state/pictures.js";
import { saveFile, stemOf } from "../state/save.js";
import type { PictureName } from "../store/schema.js";
import { words } from "../words/index.js";
import { lookWords } from "../words/looks.js";
import { Marks } from "./marks.js";

/** Thousandths of pixels: models do not know more. */
const pixels = (part: number, whole: number) => Math.round(1000 * part * whole) / 1000;
const percent = (part: number) => Math.round(100 * part);

export function FoundAnswer({ found, picture: shown }: { found: readonly Found[]; picture: PictureName }) {
  const [current, setCurrent] = useState<number | null>(null);
  const picture = pictures.value.get(shown.id);
  return (
    <div class="found">
      {picture && (
        <button
          type="button"
          class="marked"
          aria-label={words.question.openPicture(shown.name)}
          onClick={() => openDialog({ kind: "picture", picture: shown })}
        >
          <img src={picture.url} alt={lookWords.find.shown(shown.name, found.length)} width={picture.width} height={picture.height} />
          <Marks found={found} current={current} onHover={setCurrent} />
        </button>
      )}
      <div class="beside">
        <p>{lookWords.find.found(found.length)}</p>
        <ol class="found-list">
          {found.map(({ label, place: { x, y, width, height }, isPoint }, index) => (
            <li
              key={String(index)}
              class={current === index ? "current" : undefined}
              onMouseEnter={() => setCurrent(index)}
              onMouseLeave={() => setCurrent(null)}
            >
              {isPoint
                ? lookWords.find.point(label, percent(x), percent(y))
                : lookWords.find.entry(label, percent(x), percent(y), percent(width), percent(height))}
            </li>
          ))}
        </ol>
        {picture && <Exports found={found} picture={picture} name={shown.name} />}
      </div>
    </div>
  );
}

function Exports({ found, picture, name }: { found: readonly Found[]; picture: Picture; name: string }) {
  const { id, blob, width, height } = picture;
  const stem = stemOf(name);
  const placed: PlacedPicture = { name, sha256: id, width, height };
  const places = found.map(
    ({ label, place, isPoint }): PixelPlace => ({
      label,
      x: pixels(place.x, width),
      y: pixels(place.y, height),
      width: pixels(place.width, width),
      height: pixels(place.height, height),
      isPoint,
    }),
  );
  return (
    <div class="choices tools">
      <button type="button" class="quiet save-json" onClick={() => saveFile(`${stem}.json`, placesJson(placed, places))}>
        {lookWords.find.asJson}
      </button>
      <button type="button" class="quiet save-coco" onClick={() => saveFile(`${stem}-coco.json`, placesCoco(placed, places))}>
        {lookWords.find.asCoco}
      </button>
      <button
        type="button"
        class="quiet save-picture"
        onClick={() => void withMarks(blob, name, places).then((file) => saveFile(`${stem}-marked.png`, file))}
      >
        {lookWords.find.asPicture}
      </button>
    </div>
  );
}
