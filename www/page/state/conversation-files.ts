/** Conversations saved as a file, and read from one. */
import { webSha256 } from "../../src/store/hash.js";
import { conversationsJson, readConversations, type SavedConversation, type SavedPicture } from "../exports/conversations.js";
import type { StoredPicture } from "../store/schema.js";
import { listed, readList } from "./conversation.js";
import { newId } from "../store/id.js";
import { rows, write } from "./kept.js";

/** The text of a file with all conversations that are kept, and their number. */
export async function saveConversations(): Promise<{ text: string; saved: number }> {
  const store = await rows();
  const saved: SavedConversation[] = [];
  const wanted = new Set<string>();
  for (const { deletedAt: _, ...conversation } of listed.value) {
    const messages = await store.messagesOf(conversation.id);
    for (const { pictureIds } of messages) for (const id of pictureIds) wanted.add(id);
    saved.push({ ...conversation, messages });
  }
  const pictures = (await Promise.all([...wanted].map((id) => store.get("pictures", id)))).filter((picture) => picture !== null);
  const there = new Set(pictures.map(({ id }) => id));
  // A picture that is not here any more is not in the file, so no message of the file names it.
  for (const conversation of saved) {
    conversation.messages = conversation.messages.map((message) => ({
      ...message,
      pictures: message.pictures.filter(({ id }) => there.has(id)),
      pictureIds: message.pictureIds.filter((id) => there.has(id)),
    }));
  }
  return { text: await conversationsJson(saved, pictures), saved: saved.length };
}

/** Counts of a file that was read; `first` is the first fault. */
export type Taken = { kind: "newer" | "other" } | { kind: "taken"; added: number; known: number; faulty: number; first: string };

/** Adds the conversations of a file. Those that are here already are left as they are; others with the same id get a new one. */
export async function takeConversations(text: string): Promise<Taken> {
  const read = readConversations(text);
  if (read.kind !== "file") return read;
  const { file, faulty } = read;
  const store = await rows();
  const counts = { added: 0, known: 0 };
  const pictures = new Map<string, StoredPicture>();
  for (const [id, picture] of Object.entries(file.pictures)) {
    const stored = await pictureOf(id, picture);
    if (stored) pictures.set(id, stored);
  }
  for (const saved of file.conversations) {
    const missing = saved.messages.flatMap(({ pictureIds }) => pictureIds).find((id) => !pictures.has(id));
    if (missing !== undefined) {
      faulty.push({ place: `pictures.${missing}: other content than its hash says` });
      continue;
    }
    const before = await store.get("conversations", saved.id);
    if (before && before.updatedAt === saved.updatedAt) {
      counts.known += 1;
      continue;
    }
    const others = await Promise.all(saved.messages.map(({ id }) => store.get("messages", id)));
    const { messages, ...conversation } = before || others.some((other) => other !== null) ? renamed(saved) : saved;
    const shown = new Set(messages.flatMap(({ pictureIds }) => pictureIds));
    const put = {
      conversations: [{ ...conversation, deletedAt: null }],
      messages,
      pictures: [...shown].flatMap((id) => pictures.get(id) ?? []),
    };
    await write({ put });
    counts.added += 1;
  }
  if (counts.added > 0) await readList();
  return { kind: "taken", ...counts, faulty: faulty.length, first: faulty[0]?.place ?? "" };
}

async function pictureOf(id: string, { data, type, name, width, height, isPhotograph, from }: SavedPicture): Promise<StoredPicture | null> {
  try {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const blob = new Blob([bytes], { type });
    if ((await webSha256(bytes)) !== id) return null;
    return { id, blob, name, width, height, isPhotograph, from, usedAt: Date.now() };
  } catch {
    return null;
  }
}

/** The conversation under new ids. */
function renamed(saved: SavedConversation): SavedConversation {
  const ids = new Map([saved.id, ...saved.messages.map(({ id }) => id)].map((id) => [id, newId()]));
  const of = (id: string) => ids.get(id) ?? id;
  const messages = saved.messages.map((message) => ({
    ...message,
    id: of(message.id),
    conversation: of(message.conversation),
    parent: message.parent === null ? null : of(message.parent),
  }));
  return { ...saved, id: of(saved.id), leaf: saved.leaf === null ? null : of(saved.leaf), messages };
}
