/** Conversations of the database. */
import type { Rows } from "./rows.js";
import type { Conversation, Id } from "./schema.js";

/** A conversation that was found, with the text around the match; empty if its title matches. */
export interface Found {
  id: Id;
  around: string;
}

/** Conversations searched between two frames, and letters shown on each side of a match. */
const [CHUNK, AROUND] = [50, 40];

/** Removes the rows of deleted conversations. */
export async function removeDeleted(rows: Rows, before: number): Promise<void> {
  for (const { id, deletedAt } of await rows.all("conversations")) {
    if (deletedAt === null || deletedAt > before) continue;
    const messages = await rows.messagesOf(id);
    await rows.write({ delete: { conversations: [id], messages: messages.map((message) => message.id) } });
  }
}

/** Removes pictures that no message and no draft has and that were last used before a time. */
export async function removeUnusedPictures(rows: Rows, before: number, drafted: ReadonlySet<string>): Promise<void> {
  for (const { id, usedAt } of await rows.all("pictures")) {
    if (usedAt < before && !drafted.has(id) && !(await rows.isShown(id))) await rows.write({ delete: { pictures: [id] } });
  }
}

/** Text without case and accents. */
export function folded(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

/** Searches titles and texts of `conversations` in their order; `onFound` is called after each part with all matches so far. */
export async function search(
  rows: Rows,
  conversations: readonly Conversation[],
  words: string,
  onFound: (found: readonly Found[]) => void,
  signal: AbortSignal,
): Promise<void> {
  const wanted = folded(words.trim());
  const found: Found[] = [];
  for (let at = 0; at < conversations.length; at += CHUNK) {
    const chunk = conversations.slice(at, at + CHUNK);
    const matches = await Promise.all(chunk.map((conversation) => match(rows, conversation, wanted)));
    if (signal.aborted) return;
    found.push(...matches.filter((each) => each !== null));
    onFound([...found]);
    await new Promise((resolve) => setTimeout(resolve));
  }
}

async function match(rows: Rows, { id, title }: Conversation, wanted: string): Promise<Found | null> {
  if (folded(title).includes(wanted)) return { id, around: "" };
  for (const { text } of await rows.messagesOf(id)) {
    const at = folded(text).indexOf(wanted);
    if (at < 0) continue;
    const [from, to] = [Math.max(0, at - AROUND), at + wanted.length + AROUND];
    return { id, around: `${from > 0 ? "…" : ""}${text.slice(from, to).trim()}${to < text.length ? "…" : ""}` };
  }
  return null;
}
