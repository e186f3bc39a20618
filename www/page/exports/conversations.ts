/** Conversations as a file, and such a file checked. */
import { bytesOf } from "../pictures/containers/bytes.js";
import type { Conversation, Message, PartOf, PictureId, StoredPicture } from "../store/schema.js";
import type { ZipFile } from "./zip.js";

const FORMAT = "ocelli-conversations";
const VERSION = 1;

/** A conversation with its messages. */
export interface SavedConversation extends Omit<Conversation, "deletedAt"> {
  messages: Message[];
}

/** A picture of the file, by the hash of its bytes. */
export interface SavedPicture {
  name: string;
  type: string;
  width: number;
  height: number;
  isPhotograph: boolean;
  from: PartOf | null;
  /** The file in base64; `null` if it is a file of the same archive. */
  data: string | null;
}

export interface ConversationsFile {
  conversations: SavedConversation[];
  pictures: Record<string, SavedPicture>;
}

/** The text of a file with these conversations; with `hasData`, also the pictures' bytes. */
export async function conversationsJson(
  conversations: readonly SavedConversation[],
  pictures: Iterable<StoredPicture>,
  hasData: boolean,
): Promise<string> {
  const saved: Record<string, SavedPicture> = {};
  for (const { id, blob, name, width, height, isPhotograph, from = null } of pictures) {
    const data = hasData ? base64(new Uint8Array(await blob.arrayBuffer())) : null;
    saved[id] = { name, type: blob.type, width, height, isPhotograph, from, data };
  }
  const file = { format: FORMAT, version: VERSION, exportedAt: new Date().toISOString(), conversations, pictures: saved };
  return `${JSON.stringify(file, null, 1)}\n`;
}

/**
 * Conversations as Markdown, with all of the given messages: questions as quotes, answers with their Markdown but without HTML. `names` are those of
 * the user and of a model without a name.
 */
export function conversationsMarkdown(
  conversations: readonly SavedConversation[],
  stored: ReadonlyMap<PictureId, StoredPicture>,
  names: { you: string; name: string },
): string {
  const turn = ({ role, text, pictures, model }: Message) =>
    role === "user"
      ? [
          `## ${names.you}`,
          ...pictures.map(({ id, name }) => `![${plain(name)}](${fileOf(stored.get(id) as StoredPicture)})`),
          text.replace(/^.*$/gm, (line) => `> ${plain(line)}`),
        ]
      : [`## ${plain(model?.name ?? names.name)}`, text.replace(/(`+)[\s\S]*?\1|</g, (found, isCode) => (isCode ? found : "\\<"))];
  return `${conversations.flatMap(({ title, messages }) => [`# ${plain(title)}`, ...messages.flatMap(turn)]).join("\n\n")}\n`;
}

/** A line in which nothing is read as Markdown or HTML. */
function plain(line: string): string {
  return line.trim().replace(/[\\`*_[\]<>#|~&]|(?<=^\d*)[-+=.)]/g, "\\$&");
}

/** The files of an archive: `text` as `name`, and pictures one after another. */
export async function* archiveOf(name: string, text: string, pictures: Iterable<StoredPicture>): AsyncGenerator<ZipFile> {
  yield { path: name, bytes: bytesOf(text) };
  for (const picture of pictures) yield { path: fileOf(picture), bytes: new Uint8Array(await picture.blob.arrayBuffer()) };
}

/** The name of a picture's file in an archive. */
function fileOf({ id, blob }: StoredPicture): string {
  return `pictures/${id}.${/^image\/(\w+)/.exec(blob.type)?.[1] ?? "bin"}`;
}

const CHUNK = 0x8000;

function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return btoa(text);
}

/** A conversation that cannot be read, with the place and the reason. */
export interface Faulty {
  place: string;
}

export type Read = { kind: "newer" } | { kind: "other" } | { kind: "file"; file: ConversationsFile; faulty: Faulty[] };

/** Reads a file. Conversations with a fault are left out whole, with the path of the first fault in each. */
export function readConversations(text: string): Read {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { kind: "other" };
  }
  if (!isObject(json) || json["format"] !== FORMAT || !Array.isArray(json["conversations"])) return { kind: "other" };
  if (typeof json["version"] !== "number" || json["version"] > VERSION) return { kind: "newer" };
  const pictures = isObject(json["pictures"]) ? json["pictures"] : {};
  const file: ConversationsFile = { conversations: [], pictures: {} };
  const faulty: Faulty[] = [];
  for (const [id, picture] of Object.entries(pictures)) if (isHash(id) && isPicture(picture)) file.pictures[id] = picture as SavedPicture;
  for (const [index, conversation] of json["conversations"].entries()) {
    const fault = faultOf(conversation, file.pictures);
    if (fault === null) file.conversations.push(conversation as SavedConversation);
    else faulty.push({ place: `conversations[${index}]${fault}` });
  }
  return { kind: "file", file, faulty };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const isText = (value: unknown) => typeof value === "string";
const isId = (value: unknown) => typeof value === "string" && /^[\w-]{1,64}$/.test(value);
const isNumber = (value: unknown) => typeof value === "number" && Number.isFinite(value);
/** Later times are none of `Date`. */
const isTime = (value: unknown) => isNumber(value) && Math.abs(value as number) <= 8.64e15;
const isHash = (value: unknown) => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
const isFlag = (value: unknown) => typeof value === "boolean";
const orNull = (is: (value: unknown) => boolean) => (value: unknown) => value === null || is(value);
const optional = (is: (value: unknown) => boolean) => (value: unknown) => value === undefined || value === null || is(value);

type Shape = Record<string, (value: unknown) => boolean>;

const like = (shape: Shape) => (value: unknown) => isObject(value) && wrong(value, shape) === null;
const listOf = (is: (value: unknown) => boolean) => (value: unknown) => Array.isArray(value) && value.every(is);

/** Times and pictures of an answer, as far as they are shown. */
const MEASURED: Shape = {
  prepare_ms: optional(isNumber),
  vision_ms: optional(isNumber),
  prefill_ms: optional(isNumber),
  decode_ms: optional(isNumber),
  pictures: optional(listOf(like({ width: isNumber, height: isNumber, tokens: isNumber }))),
};

const CONVERSATION: Shape = {
  id: isId,
  title: isText,
  isNamed: isFlag,
  createdAt: isTime,
  updatedAt: isTime,
  leaf: orNull(isId),
  isPinned: isFlag,
  messages: Array.isArray,
};

const MESSAGE: Shape = {
  id: isId,
  conversation: isId,
  parent: orNull(isId),
  role: (role) => role === "user" || role === "assistant",
  at: isTime,
  text: isText,
  thoughts: orNull(isText),
  pictures: listOf(like({ id: isHash, name: isText })),
  pictureIds: listOf(isHash),
  detail: (detail) => detail === "low" || detail === "auto" || detail === "high",
  task: optional(isText),
  format: optional(isObject),
  sampling: optional(like({ temperature: orNull(isNumber), max_tokens: orNull(isNumber) })),
  isTopic: isFlag,
  model: orNull(like({ name: isText, url: isText })),
  seed: orNull(isNumber),
  usage: orNull(
    like({
      prompt_tokens: optional(isNumber),
      completion_tokens: optional(isNumber),
      prompt_tokens_details: optional(isObject),
      ocelli: optional(like(MEASURED)),
    }),
  ),
  notes: listOf(isText),
  end: orNull((end) => ["stop", "length", "stopped", "failed"].includes(String(end))),
  error: orNull(like({ code: isText, message: isText, advice: optional(like({ title: isText, next: isText })) })),
};

const PICTURE: Shape = {
  name: isText,
  type: isText,
  width: isNumber,
  height: isNumber,
  isPhotograph: isFlag,
  from: optional(
    like({
      id: isHash,
      part: like({ x: isNumber, y: isNumber, width: isNumber, height: isNumber }),
      turn: (turn) => [0, 90, 180, 270].includes(turn as number),
    }),
  ),
  data: orNull(isText),
};

const isPicture = like(PICTURE);

/** The name of the first field that is not as it should be. */
function wrong(value: Record<string, unknown>, shape: Shape): string | null {
  return Object.entries(shape).find(([name, is]) => !is(value[name]))?.[0] ?? null;
}

/** The path and reason of the first fault; `null` if there is none. */
function faultOf(conversation: unknown, pictures: Record<string, SavedPicture>): string | null {
  if (!isObject(conversation)) return ": no object";
  const field = wrong(conversation, CONVERSATION);
  if (field !== null) return `.${field}`;
  const messages = conversation["messages"] as unknown[];
  const ids = new Set<unknown>(messages.map((message) => (isObject(message) ? message["id"] : null)));
  for (const [index, message] of messages.entries()) {
    const at = `.messages[${index}]`;
    if (!isObject(message)) return `${at}: no object`;
    const field = wrong(message, MESSAGE);
    if (field !== null) return `${at}.${field}`;
    if (message["conversation"] !== conversation["id"]) return `${at}.conversation names another one`;
    if (message["parent"] !== null && !ids.has(message["parent"])) return `${at}.parent names no message`;
    const { pictureIds, pictures: named } = message as unknown as Message;
    const missing = pictureIds.findIndex((id) => !(id in pictures));
    if (missing >= 0) return `${at}.pictureIds[${missing}] names no picture`;
    const strange = named.findIndex(({ id }) => !pictureIds.includes(id));
    if (strange >= 0) return `${at}.pictures[${strange}].id is not among pictureIds`;
  }
  if (ids.size !== messages.length) return ".messages: two have the same id";
  if (hasCircle(messages as Message[])) return ".messages: parents in a circle";
  return conversation["leaf"] === null || ids.has(conversation["leaf"]) ? null : ".leaf names no message";
}

function hasCircle(messages: readonly Message[]): boolean {
  const parents = new Map(messages.map(({ id, parent }) => [id, parent]));
  return messages.some(({ id }) => {
    let [at, steps]: [string | null, number] = [id, 0];
    for (; at !== null && steps <= messages.length; steps++) at = parents.get(at) ?? null;
    return at !== null;
  });
}
