/** Settings of the page, kept in the database. */
import { effect, signal, type Signal } from "@preact/signals-core";
import type { Detail } from "../../src/index.js";
import type { OwnTask } from "../store/schema.js";
import { rows, write } from "./kept.js";

export type Announces = "sentences" | "whole" | "off";
export type Thinking = "off" | "short" | "medium" | "long";

/** Fields of requests; one that is missing is the model's own. */
export type Answering = Partial<Record<(typeof SAMPLING)[number], number>>;

export const SAMPLING = ["temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "seed"] as const;

const all: { id: string; value: Signal<unknown> }[] = [];

/** Describes new pictures without a question. */
export const describesAtOnce = setting("describesAtOnce", true);
/** Size at which the model sees pictures. */
export const look = setting<Detail>("look", "auto");
/** Tasks that the user has made. */
export const ownTasks = setting<readonly OwnTask[]>("tasks", []);
/** The last fields that were filled in, as a JSON schema; `null` at first. */
export const lastFields = setting<Record<string, unknown> | null>("fields", null);
/** The last rules, and the last words that were looked for. */
export const lastRules = setting("rules", "");
export const lastFind = setting("find", "");
/** Single keys are shortcuts. */
export const singleKeys = setting("singleKeys", true);
/** The part of an answer that screen readers are told. */
export const announces = setting<Announces>("announces", "sentences");
/** An instruction for all conversations. */
export const instruction = setting("instruction", "");
/** Sampling of all answers. */
export const answering = setting<Answering>("answering", {});
/** Reasoning before an answer; `null`: by the model. */
export const thinking = setting<Thinking | null>("thinking", null);
/** Tokens of the longest conversation; `null`: by the model. */
export const contextTokens = setting<number | null>("contextTokens", null);
/** Most seconds until the first word about pictures of an automatic size; `null`: by the engine. */
export const pictureSeconds = setting<number | null>("pictureSeconds", null);
/** New conversations are kept. */
export const keepsConversations = setting("keepsConversations", true);
/** True if the KV cache of conversations is kept in files. */
export const keepsComputed = setting("keepsComputed", false);
/** Tokens of the longest answer; `null`: by the model. */
export const longestAnswer = setting<number | null>("longestAnswer", null);
/** Gigabytes of graphics memory as told by the user; browsers do not report it. */
export const graphicsMemory = setting<number | null>("graphicsMemory", null);

/** Continues albums automatically when the page is opened. */
export const continuesAlbums = setting("continuesAlbums", false);
/** Keeps the screen on while an album is written. */
export const keepsScreenOn = setting("keepsScreenOn", true);

function setting<T>(id: string, initial: T): Signal<T> {
  const value = signal(initial);
  all.push({ id, value: value as Signal<unknown> });
  return value;
}

/** Reads all settings, and writes each one when it changes. */
export async function loadSettings(): Promise<void> {
  const kept = await (await rows()).all("settings");
  for (const { id, value } of all) {
    const row = kept.find((row) => row.id === id);
    if (row && typeof row.value === typeof (value.peek() ?? row.value)) value.value = row.value;
    let isFirst = true;
    effect(() => {
      const now = value.value;
      if (!isFirst) void write({ put: { settings: [{ id, value: now }] } });
      isFirst = false;
    });
  }
}
