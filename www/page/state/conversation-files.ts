/** Conversations saved as a file, and read from one. */
import { webSha256 } from "../../src/store/hash.js";
import {
  archiveOf,
  conversationsJson,
  conversationsMarkdown,
  readConversations,
  type SavedConversation,
  type SavedPicture,
} from "../exports/conversations.js";
import type { StoredPicture } from "../store/schema.js";
import { listed, readList } from "./conversation.js";
import { newId } from "../store/id.js";
import { rows, write } from "./kept.js";
import { removeArchives, saveArchives, saveFile } from "./save.js";
import { pathTo } from "./tree.js";
import { words } from "../words/index.js";

/** Bytes of pictures above which they are files of an archive, and those of one archive. */
const [MOST_IN_TEXT, MOST_IN_ARCHIVE] = [20_000_000, 1_500_000_000];

/**
 * Saves all conversations that are kept as a file, or as archives if their pictures are large; as Markdown, what they show, in archives if there are
 * any pictures. Resolves to their number.
 */
export async function saveConversations(isMarkdown: boolean): Promise<number> {
  const store = await rows();
  const saved: SavedConversation[] = [];
  const wanted = new Set<string>();
  for (const { deletedAt: _, ...conversation } of listed.value) {
    const all = await store.messagesOf(conversation.id);
    const messages = isMarkdown ? pathTo(conversation.leaf, new Map(all.map((message) => [message.id, message]))) : all;
    for (const { pictureIds } of messages) for (const id of pictureIds) wanted.add(id);
    saved.push({ ...conversation, messages });
  }
  const found = (await Promise.all([...wanted].map((id) => store.get("pictures", id)))).filter((picture) => picture !== null);
  const there = new Map(found.map((picture) => [picture.id, picture]));
  // A picture that is not here any more is not in the file, so no message of the file names it.
  for (const conversation of saved) {
    conversation.messages = conversation.messages.map((message) => ({
      ...message,
      pictures: message.pictures.filter(({ id }) => there.has(id)),
      pictureIds: message.pictureIds.filter((id) => there.has(id)),
    }));
  }
  const name = `ocelli-conversations-${new Date().toISOString().slice(0, 10)}`;
  const [kind, archive] = isMarkdown ? ["md", "md.zip"] : ["json", "ocelli.zip"];
  const textOf = async (some: SavedConversation[], shown: Iterable<StoredPicture>, hasData: boolean) =>
    isMarkdown ? conversationsMarkdown(some, there, words.answer) : conversationsJson(some, shown, hasData);
  if (isMarkdown ? found.length === 0 : bytesIn(found) <= MOST_IN_TEXT) {
    saveFile(`${name}.${kind}`, await textOf(saved, found, true));
    return saved.length;
  }
  await removeArchives().catch(() => undefined);
  for (const [at, { conversations, pictures }] of groupsOf(saved, there).entries()) {
    const text = await textOf(conversations, pictures, false);
    await saveArchives(archiveOf(`conversations.${kind}`, text, pictures), () => `${name}${at > 0 ? `-${at + 1}` : ""}.${archive}`);
  }
  return saved.length;
}

interface Group {
  conversations: SavedConversation[];
  pictures: Set<StoredPicture>;
  bytes: number;
}

/** The conversations in groups with their pictures, so that each archive can be read alone. */
function groupsOf(saved: readonly SavedConversation[], pictures: ReadonlyMap<string, StoredPicture>): Group[] {
  const groups: Group[] = [];
  for (const conversation of saved) {
    const shown = new Set(conversation.messages.flatMap(({ pictureIds }) => pictureIds.flatMap((id) => pictures.get(id) ?? [])));
    const bytes = bytesIn(shown);
    let group = groups.at(-1);
    if (!group || group.bytes + bytes > MOST_IN_ARCHIVE) groups.push((group = { conversations: [], pictures: new Set(), bytes: 0 }));
    group.conversations.push(conversation);
    group.bytes += bytes;
    for (const picture of shown) group.pictures.add(picture);
  }
  return groups;
}

function bytesIn(pictures: Iterable<StoredPicture>): number {
  return [...pictures].reduce((sum, { blob }) => sum + blob.size, 0);
}

/** Counts of a file that was read; `first` is the first fault. */
export type Taken = { kind: "newer" | "other" } | { kind: "taken"; added: number; known: number; faulty: number; first: string };

/** Adds the conversations of a file. Those that are here already are left as they are; others with the same id get a new one. */
export async function takeConversations(given: Blob): Promise<Taken> {
  const files = await filesIn(given).catch(() => null);
  const read = readConversations(files ? await files.text() : await given.text());
  if (read.kind !== "file") return read;
  const { file, faulty } = read;
  const store = await rows();
  const counts = { added: 0, known: 0 };
  const pictures = new Map<string, StoredPicture | null>();
  for (const saved of file.conversations) {
    const before = await store.get("conversations", saved.id);
    if (before && before.updatedAt === saved.updatedAt) {
      counts.known += 1;
      continue;
    }
    const shown = [...new Set(saved.messages.flatMap(({ pictureIds }) => pictureIds))];
    for (const id of shown) if (!pictures.has(id)) pictures.set(id, await pictureOf(id, file.pictures[id], files?.picture(id)));
    const missing = shown.find((id) => !pictures.get(id));
    if (missing !== undefined) {
      faulty.push({ place: `pictures.${missing}: other content than its hash says` });
      continue;
    }
    const others = await Promise.all(saved.messages.map(({ id }) => store.get("messages", id)));
    const { messages, ...conversation } = before || others.some((other) => other !== null) ? renamed(saved) : saved;
    const put = {
      conversations: [{ ...conversation, deletedAt: null }],
      messages,
      pictures: shown.flatMap((id) => pictures.get(id) ?? []),
    };
    await write({ put });
    counts.added += 1;
  }
  if (counts.added > 0) await readList();
  return { kind: "taken", ...counts, faulty: faulty.length, first: faulty[0]?.place ?? "" };
}

/** Reads the files of an archive when they are asked for. */
interface Files {
  text: () => Promise<string>;
  picture: (id: string) => Promise<Blob> | undefined;
}

/** The files of an archive, which may be in a folder; throws if it is none. */
async function filesIn(given: Blob): Promise<Files> {
  const { unzip } = await import("../exports/zip.js");
  const files = await unzip(given);
  const byName = new Map([...files].map(([path, read]) => [path.replace(/^.*\/|\.\w+$/g, ""), read]));
  return {
    text: async () => (await byName.get("conversations")?.())?.text() ?? "",
    picture: (id) => byName.get(id)?.(),
  };
}

/** The picture with the hash `id`; `null` if it has other content. A blob of an archive is read piece by piece when it is stored. */
async function pictureOf(id: string, saved: SavedPicture | undefined, stored: Promise<Blob> | undefined): Promise<StoredPicture | null> {
  if (!saved) return null;
  const { data, type, name, width, height, isPhotograph, from } = saved;
  try {
    const file = (await stored) ?? Uint8Array.from(atob(data ?? ""), (letter) => letter.charCodeAt(0));
    if ((await webSha256(file instanceof Blob ? new Uint8Array(await file.arrayBuffer()) : file)) !== id) return null;
    const blob = new Blob([file], { type });
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
