/** Places that answers have found in pictures. */
import { inWhole } from "../pictures/parts.js";
import type { Message, PictureId } from "../store/schema.js";
import { FIND } from "./answer.js";
import { messages, path } from "./conversation.js";
import { foundIn, type Found } from "./find.js";
import { pictures } from "./pictures.js";

/** The places in a picture that the last answer about it, or about a part of it, has found. */
export function foundOn(picture: PictureId): readonly Found[] {
  const answer = path.value.findLast((message) => message.task === FIND && message.role === "assistant" && isAbout(message, picture));
  const found = answer ? foundIn(answer.text) : null;
  const from = answer && pictures.value.get(pictureOf(answer) ?? "")?.from;
  if (!found || !from || pictureOf(answer) === picture) return found ?? [];
  return found.map((one) => ({ ...one, place: inWhole(one.place, from) }));
}

function isAbout(answer: Message, picture: PictureId): boolean {
  const id = pictureOf(answer);
  return id === picture || pictures.value.get(id ?? "")?.from?.id === picture;
}

/** The picture that an answer has looked at. */
export function pictureOf(answer: Message): PictureId | undefined {
  return messages.value.get(answer.parent ?? "")?.pictureIds[0];
}
