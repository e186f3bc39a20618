/** Marks of places over a picture. The parent has the size of the picture. */
import { turnedPart } from "../pictures/parts.js";
import type { Found } from "../state/find.js";
import type { PartOf } from "../store/schema.js";

interface Props {
  found: readonly Found[];
  turn?: PartOf["turn"];
  /** The number of the place that is emphasised, from 0. */
  current?: number | null;
  onHover?: (index: number | null) => void;
}

const percent = (part: number) => `${100 * part}%`;

export function Marks({ found, turn = 0, current = null, onHover }: Props) {
  return (
    <div class="marks" aria-hidden="true">
      {found.map(({ place, isPoint }, index) => {
        const { x, y, width, height } = turnedPart(place, turn);
        const style = { left: percent(x), top: percent(y), width: percent(width), height: percent(height) };
        return (
          // biome-ignore lint/a11y/noStaticElementInteractions: the list beside the picture tells the same.
          <div
            key={String(index)}
            class={`mark ${isPoint ? "point" : "box"}${current === index ? " current" : ""}`}
            style={style}
            onMouseEnter={() => onHover?.(index)}
            onMouseLeave={() => onHover?.(null)}
          >
            <span>{index + 1}</span>
          </div>
        );
      })}
    </div>
  );
}
