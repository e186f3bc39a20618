/**
 * Places in a picture. Qwen3-VL and Qwen3.5 answer `[{"bbox_2d": [left, top, right, bottom], "label": …}]` or `{"point_2d": [x, y], …}`
 * with whole numbers from 0 to 1000, relative to the width and the height of the picture as the model sees it, upright
 * (QwenLM/Qwen3-VL, `cookbooks/2d_grounding.ipynb` and `qwen-vl-finetune`; earlier kinds counted pixels).
 */
import type { Part } from "../store/schema.js";
import type { Schema } from "./fields.js";

/** A box, or a point, which has no size; in parts of the width and height. */
export interface Found {
  label: string;
  place: Part;
  isPoint: boolean;
}

export type Shape = "box" | "point";

const WHOLE = 1000;
/** The instruction to find `what`, in the words that the models were trained with. */
export function instructionOf(what: string, shape: Shape): string {
  const kind = shape === "box" ? "bbox" : "point";
  return `Locate every instance that belongs to the following categories: "${what}". Report ${kind} coordinates in JSON format.`;
}

/** Answers have at most this many places, so that one of a model that repeats itself ends. */
const MOST = 100;

/** The schema of an answer, with keys in the order that the models were trained with. */
export function formatOf(shape: Shape): Schema {
  const numbers = shape === "box" ? 4 : 2;
  const key = shape === "box" ? "bbox_2d" : "point_2d";
  const number = { type: "integer", minimum: 0, maximum: WHOLE };
  return {
    type: "array",
    maxItems: MOST,
    items: {
      type: "object",
      properties: {
        [key]: { type: "array", items: number, minItems: numbers, maxItems: numbers },
        label: { type: "string", maxLength: 80 },
      },
      required: [key, "label"],
      additionalProperties: false,
    },
  };
}

/** The places of an answer; `null` if it has another form. */
export function foundIn(answer: string): Found[] | null {
  try {
    const list = JSON.parse(answer) as unknown;
    if (!Array.isArray(list)) return null;
    const found = list.map(placeOf);
    return found.every((place) => place !== null) ? found : null;
  } catch {
    return null;
  }
}

function placeOf(entry: unknown): Found | null {
  if (typeof entry !== "object" || entry === null) return null;
  const { bbox_2d: box, point_2d: point, label } = entry as { bbox_2d?: unknown; point_2d?: unknown; label?: unknown };
  const numbers: unknown[] = Array.isArray(box) ? box : Array.isArray(point) ? point : [];
  const inside = numbers.filter((value): value is number => typeof value === "number" && value >= 0 && value <= WHOLE);
  const isPoint = !Array.isArray(box);
  if (typeof label !== "string" || inside.length !== numbers.length || inside.length !== (isPoint ? 2 : 4)) return null;
  const [x1 = 0, y1 = 0, x2 = x1, y2 = y1] = inside.map((value) => value / WHOLE);
  // A model may name the corners in the other order.
  const place = { x: Math.min(x1, x2), y: Math.min(y1, y2), width: Math.abs(x2 - x1), height: Math.abs(y2 - y1) };
  return { label, place, isPoint };
}
