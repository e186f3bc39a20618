/** Conversations as a file, and such a file checked. */
import type { Conversation, Message, PartOf, StoredPicture } from "../store/schema.js";

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
  /** The file in base64. */
  data: string;
}

export interface ConversationsFile {
  conversations: SavedConversation[];
  pictures: Record<string, SavedPicture>;
}

/** The text of a file with these conversations and their pictures. */
export async function conversationsJson(conversations: readonly SavedConversation[], pictures: readonly StoredPicture[]): Promise<string> {
  const saved: Record<string, SavedPicture> = {};
  for (const { id, blob, name, width, height, isPhotograph, from = null } of pictures) {
    saved[id] = { name, type: blob.type, width, height, isPhotograph, from, data: base64(new Uint8Array(await blob.arrayBuffer())) };
  }
  const file = { format: FORMAT, version: VERSION, exportedAt: new Date().toISOString(), conversations, pictures: saved };
  return `${JSON.stringify(file, null, 1)}\n`;
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
  for (const [id, picture] of Object.entries(pictures)) if (isPicture(picture)) file.pictures[id] = picture;
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
const isTime = (value: unknown) => typeof value === "number" && Number.isFinite(value);
const isFlag = (value: unknown) => typeof value === "boolean";
const orNull = (is: (value: unknown) => boolean) => (value: unknown) => value === null || is(value);
const optional = (is: (value: unknown) => boolean) => (value: unknown) => value === undefined || value === null || is(value);

type Shape = Record<string, (value: unknown) => boolean>;

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
  pictures: (list) => Array.isArray(list) && list.every((each) => isObject(each) && isHash(each["id"]) && isText(each["name"])),
  pictureIds: (list) => Array.isArray(list) && list.every(isHash),
  detail: (detail) => detail === "low" || detail === "auto" || detail === "high",
  task: optional(isText),
  format: optional(isObject),
  sampling: optional(isObject),
  isTopic: isFlag,
  model: orNull((model) => isObject(model) && isText(model["name"]) && isText(model["url"])),
  seed: orNull(isTime),
  usage: orNull(isObject),
  notes: (notes) => Array.isArray(notes) && notes.every(isText),
  end: orNull((end) => ["stop", "length", "stopped", "failed"].includes(String(end))),
  error: orNull((error) => isObject(error) && isText(error["code"]) && isText(error["message"])),
};

const PICTURE: Shape = {
  name: isText,
  type: isText,
  width: isTime,
  height: isTime,
  isPhotograph: isFlag,
  from: optional(isObject),
  data: isText,
};

const isHash = (value: unknown) => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
const isPicture = (value: unknown): value is SavedPicture => isObject(value) && wrong(value, PICTURE) === null;

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
    const missing = (message["pictureIds"] as string[]).findIndex((id) => !(id in pictures));
    if (missing >= 0) return `${at}.pictureIds[${missing}] names no picture`;
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
