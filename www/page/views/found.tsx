/** Places that were found: marked in the picture, and listed beside it. */
import { useState } from "preact/hooks";
import { placesCoco, placesJson, type PixelPlace, type PlacedPicture } from "../exports/places.js";
import { withMarks } from "../pictures/marked.js";
import { openDialog } from "../state/dialog.js";
import type { Found } from "../state/find.js";
import { pictures, type Picture } from "../state/pictures.js";
import type { PictureName } from "../store/schema.js";
import { words } from "../words/index.js";
import { Marks } from "./marks.js";
import { saveFile, stemOf } from "./save.js";

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
          aria-label={words.viewer.open(shown.name)}
          onClick={() => openDialog({ kind: "picture", picture: shown })}
        >
          <img src={picture.url} alt={words.find.shown(shown.name, found.length)} width={picture.width} height={picture.height} />
          <Marks found={found} current={current} onHover={setCurrent} />
        </button>
      )}
      <div class="beside">
        <p>{words.find.found(found.length)}</p>
        <ol class="places">
          {found.map(({ label, place: { x, y, width, height }, isPoint }, index) => (
            <li
              key={String(index)}
              class={current === index ? "current" : undefined}
              onMouseEnter={() => setCurrent(index)}
              onMouseLeave={() => setCurrent(null)}
            >
              {isPoint
                ? words.find.point(label, percent(x), percent(y))
                : words.find.entry(label, percent(x), percent(y), percent(width), percent(height))}
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
      x: place.x * width,
      y: place.y * height,
      width: place.width * width,
      height: place.height * height,
      isPoint,
    }),
  );
  return (
    <div class="choices tools">
      <button type="button" class="quiet save-json" onClick={() => saveFile(`${stem}.json`, placesJson(placed, places))}>
        {words.find.asJson}
      </button>
      <button type="button" class="quiet save-coco" onClick={() => saveFile(`${stem}-coco.json`, placesCoco(placed, places))}>
        {words.find.asCoco}
      </button>
      <button
        type="button"
        class="quiet save-picture"
        onClick={() => void withMarks(blob, name, places).then((file) => saveFile(`${stem}-marked.png`, file))}
      >
        {words.find.asPicture}
      </button>
    </div>
  );
}
