/** Rectangles in parts of a picture's width and height, and their places after turns and cuts. */
import type { Part, PartOf } from "../store/schema.js";

export const WHOLE: Part = { x: 0, y: 0, width: 1, height: 1 };

/** The place of a rectangle after the picture was turned clockwise. */
export function turnedPart({ x, y, width, height }: Part, turn: PartOf["turn"]): Part {
  switch (turn) {
    case 0:
      return { x, y, width, height };
    case 90:
      return { x: 1 - y - height, y: x, width: height, height: width };
    case 180:
      return { x: 1 - x - width, y: 1 - y - height, width, height };
    case 270:
      return { x: y, y: 1 - x - width, width: height, height: width };
  }
}

/** The place in the whole picture of a rectangle in a part of it. */
export function inWhole(place: Part, { part, turn }: PartOf): Part {
  const inTurned = {
    x: part.x + place.x * part.width,
    y: part.y + place.y * part.height,
    width: place.width * part.width,
    height: place.height * part.height,
  };
  return turnedPart(inTurned, ((360 - turn) % 360) as PartOf["turn"]);
}

/** A handle of a frame: the sides that it moves. */
export const HANDLES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"] as const;
export type Handle = (typeof HANDLES)[number];

/** The least width and height of a frame. */
const LEAST = 0.01;

const clamp = (value: number, least: number, most: number) => Math.min(most, Math.max(least, value));

/** A frame moved by a distance, as far as the picture allows. */
export function moved(part: Part, dx: number, dy: number): Part {
  return { ...part, x: clamp(part.x + dx, 0, 1 - part.width), y: clamp(part.y + dy, 0, 1 - part.height) };
}

/** A frame whose sides at `handle` were moved by a distance. */
export function resized(part: Part, handle: Handle, dx: number, dy: number): Part {
  let [left, top, right, bottom] = [part.x, part.y, part.x + part.width, part.y + part.height];
  if (handle.includes("w")) left = clamp(left + dx, 0, right - LEAST);
  if (handle.includes("e")) right = clamp(right + dx, left + LEAST, 1);
  if (handle.includes("n")) top = clamp(top + dy, 0, bottom - LEAST);
  if (handle.includes("s")) bottom = clamp(bottom + dy, top + LEAST, 1);
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** The frame between two points. */
export function between(one: { x: number; y: number }, other: { x: number; y: number }): Part {
  const [left, right] = [clamp(Math.min(one.x, other.x), 0, 1 - LEAST), clamp(Math.max(one.x, other.x), LEAST, 1)];
  const [top, bottom] = [clamp(Math.min(one.y, other.y), 0, 1 - LEAST), clamp(Math.max(one.y, other.y), LEAST, 1)];
  return { x: left, y: top, width: Math.max(LEAST, right - left), height: Math.max(LEAST, bottom - top) };
}

/** A frame with one number changed, as far as the picture allows. */
export function withNumber(part: Part, name: keyof Part, value: number): Part {
  const wanted = { ...part, [name]: clamp(value, 0, 1) };
  const width = clamp(wanted.width, LEAST, 1);
  const height = clamp(wanted.height, LEAST, 1);
  const isPlace = name === "x" || name === "y";
  // A number for the place keeps the size, and the other way round.
  const x = isPlace ? clamp(wanted.x, 0, 1 - width) : wanted.x;
  const y = isPlace ? clamp(wanted.y, 0, 1 - height) : wanted.y;
  return { x, y, width: Math.min(width, 1 - x), height: Math.min(height, 1 - y) };
}
