/** Pictures with marks drawn into them. */
import { contextOf, fileOf, upright } from "./pixels.js";

/** A mark in pixels; a point has no size. */
export interface Mark {
  label: string;
  x: number;
  y: number;
  width: number;
  height: number;
  isPoint: boolean;
}

const [COLOUR, EDGE] = ["#e0007a", "#ffffff"];
/** Thickness of lines, and size of letters, as parts of the longer side. */
const [LINE, LETTERS] = [1 / 300, 1 / 45];

/** The upright picture with its marks and their labels, as PNG. */
export async function withMarks(file: Blob, name: string, marks: readonly Mark[]): Promise<File> {
  const bitmap = await upright(file);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = contextOf(canvas);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const longer = Math.max(canvas.width, canvas.height);
  const line = Math.max(2, Math.round(longer * LINE));
  for (const mark of marks) {
    for (const [width, colour] of [
      [2 * line, EDGE],
      [line, COLOUR],
    ] as const) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      outline(context, mark, line);
    }
  }
  const letters = Math.max(11, Math.round(longer * LETTERS));
  context.font = `600 ${letters}px system-ui, sans-serif`;
  context.textBaseline = "top";
  for (const [index, { label, x, y }] of marks.entries()) {
    const text = `${index + 1} ${label}`;
    const width = context.measureText(text).width + letters / 2;
    const left = Math.max(0, Math.min(x, canvas.width - width));
    const top = Math.max(0, y - 1.4 * letters);
    context.fillStyle = COLOUR;
    context.fillRect(left, top, width, 1.4 * letters);
    context.fillStyle = EDGE;
    context.fillText(text, left + letters / 4, top + letters / 5);
  }
  return fileOf(canvas, name);
}

function outline(context: OffscreenCanvasRenderingContext2D, { x, y, width, height, isPoint }: Mark, line: number): void {
  if (!isPoint) return context.strokeRect(x, y, width, height);
  context.beginPath();
  context.arc(x, y, 3 * line, 0, 2 * Math.PI);
  context.stroke();
}
