/** Conversations: the list, and the open one with its messages. */
import { batch, computed, signal } from "@preact/signals-core";
import { removeDeleted, removeUnusedPictures } from "../store/conversations.js";
import { listenForChanges, tellChange } from "../store/changes.js";
import type { Conversation, Id, Message } from "../store/schema.js";
import { rows, write } from "./kept.js";
import { forgetComputed, markTemporary } from "./computed.js";
import { hideOthers, showPictures } from "./pictures.js";
import { keepsConversations } from "./settings.js";
import { below, newestLeaf, pathTo, type Messages } from "./tree.js";
import { newId } from "../store/id.js";
import { offerUndo } from "./undo.js";

const DAY_MS = 86_400_000;
/** Letters of a title, and words of an answer that make one. */
const [TITLE, TITLE_WORDS] = [60, 8];
/** Deleted conversations are removed after this time. */
const REMOVED_AFTER_MS = 30_000;

const records = signal<ReadonlyMap<Id, Conversation>>(new Map());
/** True once the list is read. */
export const isListed = signal(false);
/** Ids of conversations that are not written to the database. */
const temporary = new Set<Id>();
/** True if the next new conversation, or the open one, is not kept. */
export const isTemporary = signal(false);
/** A conversation without messages; it is not in the list. */
const blank = signal(newRecord());
const openId = signal<Id>(blank.value.id);
/** Messages of the open conversation. */
export const messages = signal<Messages>(new Map());

/** The conversations of the list: pinned ones, then the newest. */
export const listed = computed(() =>
  [...records.value.values()]
    .filter(({ id, deletedAt }) => deletedAt === null && !temporary.has(id))
    .sort((one, other) => Number(other.isPinned) - Number(one.isPinned) || other.updatedAt - one.updatedAt),
);
export const open = computed(() => records.value.get(openId.value) ?? blank.value);
/** The messages that are shown. */
export const path = computed(() => pathTo(open.value.leaf, messages.value));

function newRecord(): Conversation {
  const now = Date.now();
  return {
    id: newId(),
    title: "",
    isNamed: false,
    createdAt: now,
    updatedAt: now,
    leaf: null,
    isPinned: false,
    deletedAt: null,
  };
}

/** Reads the list, and follows changes by other tabs. */
export async function loadList(): Promise<void> {
  await readList();
  listenForChanges((id) => void follow(id));
}

/** Reads the list; what this tab shows already stays as it is. */
export async function readList(): Promise<void> {
  const stored = await (await rows()).all("conversations");
  records.value = new Map([...stored.map((record) => [record.id, record] as const), ...records.value]);
  isListed.value = true;
}

/** Removes deleted conversations and, a day after their last use, pictures that nothing shows. */
export async function tidy(drafted: ReadonlySet<string>): Promise<void> {
  const store = await rows();
  await removeDeleted(store, Date.now());
  await removeUnusedPictures(store, Date.now() - DAY_MS, drafted);
}

async function follow(id: Id): Promise<void> {
  const store = await rows();
  const record = await store.get("conversations", id);
  const stored = id === openId.value ? await store.messagesOf(id) : null;
  const others = [...records.value].filter(([other]) => other !== id);
  if (stored) await showPictures(stored.flatMap(({ pictureIds }) => pictureIds));
  batch(() => {
    records.value = new Map(record ? [...others, [id, record]] : others);
    if (stored && id === openId.value) messages.value = new Map(stored.map((message) => [message.id, message]));
  });
}

/** Begins a conversation. The one before stays in the list, unless it is temporary. */
export function beginConversation(): void {
  wanted = null;
  leave();
  if (!keepsConversations.value) isTemporary.value = true;
  batch(() => {
    blank.value = newRecord();
    openId.value = blank.value.id;
    messages.value = new Map();
  });
  hideOthers(new Set());
}

/** The conversation that was asked for last. */
let wanted: Id | null = null;

/** Opens a conversation of the list; resolves to false if there is none with this id. */
export async function openConversation(id: Id): Promise<boolean> {
  wanted = id;
  if (id === openId.value) return true;
  if (!records.value.has(id) || records.value.get(id)?.deletedAt) return false;
  const stored = await (await rows()).messagesOf(id);
  // Reading may take longer than it does for one that was asked for later.
  if (wanted !== id) return true;
  leave();
  const ids = stored.flatMap(({ pictureIds }) => pictureIds);
  hideOthers(new Set(ids));
  batch(() => {
    isTemporary.value = temporary.has(id);
    openId.value = id;
    messages.value = new Map(stored.map((message) => [message.id, message]));
  });
  await showPictures(ids);
  return true;
}

/** Drops what a temporary conversation has said. */
function leave(): void {
  const id = openId.value;
  if (!temporary.has(id)) return;
  const change = { delete: { conversations: [id], messages: [...messages.value.keys()] } };
  forgetComputed();
  void rows().then((store) => store.forget(change));
  records.value = new Map([...records.value].filter(([other]) => other !== id));
}

/** Adds or changes messages of a conversation, and shows `leaf` if it is given. */
export function save(conversation: Id, changed: readonly Message[], leaf?: Message): Promise<boolean> {
  const before = records.value.get(conversation) ?? (conversation === blank.value.id ? blank.value : null);
  // A temporary conversation that was left.
  if (!before) return Promise.resolve(false);
  const record = { ...before, updatedAt: Date.now() };
  if (leaf) record.leaf = leaf.id;
  if (record.id === blank.value.id && isTemporary.value) {
    temporary.add(record.id);
    markTemporary();
  }
  record.title = titleOf(record, changed);
  batch(() => {
    records.value = new Map([...records.value, [record.id, record]]);
    if (conversation === openId.value) messages.value = new Map([...messages.value, ...changed.map((each) => [each.id, each] as const)]);
  });
  return writeOf(record, changed);
}

/** Writes the state of a message that is being written, without showing it. */
export function saveDraftOf(message: Message): Promise<boolean> {
  const stored = write({ put: { messages: [message] } }, temporary.has(message.conversation));
  if (!temporary.has(message.conversation)) tellChange(message.conversation);
  return stored;
}

async function writeOf(record: Conversation, changed: readonly Message[]): Promise<boolean> {
  const isKept = await write({ put: { conversations: [record], messages: changed } }, temporary.has(record.id));
  if (!temporary.has(record.id)) tellChange(record.id);
  return isKept;
}

/** The first line of the first question, or the first words of its answer if the question was not written by the user. */
function titleOf(record: Conversation, changed: readonly Message[]): string {
  if (record.isNamed) return record.title;
  const question = changed.find(({ role, parent }) => role === "user" && parent === null);
  if (question) return short(question.text.split("\n")[0] ?? "");
  const answer = changed.find(({ role, end }) => role === "assistant" && end !== null && end !== "failed");
  const asked = answer && messages.value.get(answer.parent ?? "");
  const isFirst = asked?.parent === null && asked.pictureIds.length > 0 && short(asked.text) === record.title;
  if (!answer?.text || answer.format || !isFirst) return record.title;
  const all = answer.text.trim().split(/\s+/);
  return short(all.length <= TITLE_WORDS ? all.join(" ") : `${all.slice(0, TITLE_WORDS).join(" ")} …`);
}

function short(text: string): string {
  const letters = [...text.trim()];
  return letters.length <= TITLE ? letters.join("") : `${letters.slice(0, TITLE - 1).join("")}…`;
}

export function nameConversation(id: Id, title: string): void {
  const record = records.value.get(id);
  if (record && title.trim()) change({ ...record, title: short(title), isNamed: true });
}

export function pinConversation(id: Id, isPinned: boolean): void {
  const record = records.value.get(id);
  if (record) change({ ...record, isPinned });
}

/** Marks a conversation as deleted; its rows are removed later, so that it can be undone. */
export function deleteConversation(id: Id, words: string): void {
  const record = records.value.get(id);
  if (!record) return;
  change({ ...record, deletedAt: Date.now() });
  forgetComputed();
  offerUndo(words, () => change({ ...record, deletedAt: null }));
  setTimeout(() => void rows().then((store) => removeDeleted(store, Date.now() - REMOVED_AFTER_MS)), REMOVED_AFTER_MS);
}

function change(record: Conversation): void {
  records.value = new Map([...records.value, [record.id, record]]);
  void writeOf(record, []);
}

/** Shows another version of a message, with the newest messages below it. */
export function showVersion(message: Message): void {
  void save(message.conversation, [], newestLeaf(message, messages.value));
}

/** Deletes a message and what hangs on it. */
export function deleteMessage(message: Message, words: string): void {
  const { conversation } = message;
  const [gone, before] = [below(message, messages.value), open.value];
  const left = new Map([...messages.value].filter(([id]) => !gone.some((each) => each.id === id)));
  const beside = [...left.values()].filter(({ parent }) => parent === message.parent).sort((one, other) => other.at - one.at)[0];
  const leaf = beside ? newestLeaf(beside, left).id : message.parent;
  const record = { ...before, leaf, updatedAt: Date.now() };
  batch(() => {
    messages.value = left;
    records.value = new Map([...records.value, [record.id, record]]);
  });
  const ids = gone.map(({ id }) => id);
  void write({ put: { conversations: [record] }, delete: { messages: ids } }, temporary.has(conversation)).then(() =>
    tellChange(conversation),
  );
  offerUndo(words, () => void save(conversation, gone, before.leaf ? gone.find(({ id }) => id === before.leaf) : undefined));
}
