/** Parts of pictures, which are pictures of their own. */
import { cut } from "../pictures/pixels.js";
import type { Part, PartOf } from "../store/schema.js";
import { lookWords } from "../words/looks.js";
import { isTemporary } from "./conversation.js";
import { focusOn } from "./focus.js";
import { takePicture, type Picture } from "./pictures.js";
import { attach } from "./tray.js";

/** Attaches a part of a picture, to be asked about. */
export async function addPart(picture: Picture, part: Part, turn: PartOf["turn"]): Promise<void> {
  const file = await cut(picture.blob, lookWords.viewer.part(picture.name), part, turn);
  attach(await takePicture(file, isTemporary.value, { id: picture.id, part, turn }));
  focusOn("question");
}
