/** Rows of the page's database. Times are milliseconds since 1970. */
import type { AltFlag } from "../../src/img-alt/text.js";
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

/** The sampling of a task; `null` is the model's own. */
export interface Sampling {
  temperature: number | null;
  max_tokens: number | null;
}

/** A task that the user has made. */
export interface OwnTask {
  id: Id;
  name: string;
  instruction: string;
  /** The JSON schema of its answers; `null` for text. */
  format: Record<string, unknown> | null;
  sampling: Sampling;
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
  /** The task of a question and of its answers, the JSON schema that they must match, and their sampling. */
  task?: Id | null;
  format?: Record<string, unknown> | null;
  sampling?: Sampling | null;
  /** True for a question that the model answers without the messages before it. */
  isTopic: boolean;
  model: { name: string; url: string } | null;
  seed: number | null;
  usage: Usage | null;
  /** Notes about pictures and left out questions. */
  notes: string[];
  /** `null` for a question, and for an answer that is being written or was interrupted. */
  end: End | null;
  error: { code: string; message: string; advice?: { title: string; next: string } } | null;
}

/** A rectangle in parts of the width and height of a picture. */
export interface Part {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A part of a picture, which was turned clockwise before it was cut. */
export interface PartOf {
  id: PictureId;
  part: Part;
  turn: 0 | 90 | 180 | 270;
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
  /** The picture that it is a part of; `null` for one that was given. */
  from?: PartOf | null;
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

/** The kinds of text that an album writes: alternative texts, captions, and the words in the picture. */
export type Writing = "alt" | "caption" | "words";

/** The texts to write about the pictures of an album. */
export interface AlbumTask {
  writes: Writing[];
  /** A language tag, or the name of a language. */
  language: string;
  /** Words about all pictures, for the model. */
  context: string;
  /** True for long descriptions beside alternative texts. */
  isLong: boolean;
  /** True if alternative texts in the files are kept. */
  keepsAlts: boolean;
  detail: Detail;
}

/** The place of an album's files: the folder that was given, copies in the database, or the memory of this visit. */
export type Keeping = "folder" | "copies" | "visit";

/** An album: pictures of a folder, and the texts about them. */
export interface Album {
  id: Id;
  title: string;
  createdAt: number;
  updatedAt: number;
  task: AlbumTask;
  folder: FileSystemDirectoryHandle | null;
  keeping: Keeping;
  /** True from the start of its run until a pause or its end: the next visit offers to continue it. */
  isStarted: boolean;
  deletedAt: number | null;
}

/** `done`: written, but not reviewed. `missing`: the file is not there any more. */
export type RowState = "waiting" | "done" | "reviewed" | "failed" | "missing";

/** A picture of an album, and the texts about it. */
export interface AlbumRow {
  id: Id;
  album: Id;
  order: number;
  /** The path below the album's folder, with `/` between its parts. */
  path: string;
  bytes: number;
  /** The file's time of modification. */
  modified: number;
  /** The hash of the file, once it has been read. */
  picture: PictureId | null;
  /** In pixels; 0 until the file has been read, and if the browser cannot read it. */
  width: number;
  height: number;
  state: RowState;
  alt: string;
  isDecorative: boolean;
  /** True if the model suggests that the picture is decorative. */
  maybeDecorative: boolean;
  long: string;
  caption: string;
  words: string;
  language: string;
  /** Words about this picture alone, for the model. */
  context: string;
  flags: AltFlag[];
  /** True for a text that the user has changed. */
  isByHand: boolean;
  /** The alternative text in the file; `null` until it has been read, and if there is none. */
  had: string | null;
  model: string | null;
  usage: Usage | null;
  error: { code: string; message: string } | null;
  updatedAt: number;
}

/** A small picture of an album's row, with the row's id. */
export interface Thumbnail {
  id: Id;
  blob: Blob;
}

/** All tables, by name. */
export interface Tables {
  conversations: Conversation;
  messages: Message;
  pictures: StoredPicture;
  settings: Setting;
  measures: Measure;
  albums: Album;
  albumRows: AlbumRow;
  thumbnails: Thumbnail;
}

export type TableName = keyof Tables;

/** Rows to write, and ids to delete, in one transaction. */
export interface Change {
  put?: { [T in TableName]?: readonly Tables[T][] };
  delete?: { [T in TableName]?: readonly string[] };
}
