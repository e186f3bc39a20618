/** Rows of the page's database. Times are milliseconds since 1970. */
import type { Detail, Usage } from "../../src/index.js";

export type Id = string;
/** SHA-256 of a file in hexadecimal. */
export type PictureId = string;

/** A conversation: a tree of messages, and the leaf whose path is shown. */
export interface Conversation {
  id: Id;
  title: string;
  /** True if the user has named it. */
  isNamed: boolean;
  createdAt: number;
  updatedAt: number;
  leaf: Id | null;
  isPinned: boolean;
  /** The time of deletion; it can be undone until the row is removed. */
  deletedAt: number | null;
}

/** A picture of a message, by the name under which it was given. */
export interface PictureName {
  id: PictureId;
  name: string;
}

/** The end of an answer: by the model, by its longest length, by the user, by an error. */
export type End = "stop" | "length" | "stopped" | "failed";

/** A question or an answer. `parent` is the message before it; messages with the same parent are versions of each other. */
export interface Message {
  id: Id;
  conversation: Id;
  parent: Id | null;
  role: "user" | "assistant";
  at: number;
  text: string;
  /** Reasoning before the answer. */
  thoughts: string | null;
  pictures: PictureName[];
  /** Ids of `pictures`, for the index. */
  pictureIds: PictureId[];
  detail: Detail;
  /** True for a question that the model answers without the messages before it. */
  isTopic: boolean;
  model: { name: string; url: string } | null;
  seed: number | null;
  usage: Usage | null;
  /** Notes about pictures and left out questions. */
  notes: string[];
  /** `null` for a question, and for an answer that is being written or was interrupted. */
  end: End | null;
  error: { code: string; message: string } | null;
}

/** A picture file. */
export interface StoredPicture {
  id: PictureId;
  blob: Blob;
  name: string;
  /** In pixels; 0 if the browser cannot read the file. */
  width: number;
  height: number;
  /** True for pictures with more colours than a drawn scene. */
  isPhotograph: boolean;
  usedAt: number;
}

export interface Setting {
  id: string;
  value: unknown;
}

/** Measured speed of a model on a device. `id` is the package's address, `|`, and the device's name. */
export interface Measure {
  id: string;
  tokensPerSecond: number;
  prefillMsPerToken: number | null;
  visionMsPerToken: number | null;
  runs: number;
  at: number;
}

/** All tables, by name. */
export interface Tables {
  conversations: Conversation;
  messages: Message;
  pictures: StoredPicture;
  settings: Setting;
  measures: Measure;
}

export type TableName = keyof Tables;

/** Rows to write, and ids to delete, in one transaction. */
export interface Change {
  put?: { [T in TableName]?: readonly Tables[T][] };
  delete?: { [T in TableName]?: readonly string[] };
}
