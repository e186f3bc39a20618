/** ZIP archives: written without compression, as pictures are compressed already, and read with and without it. */
import { bytesOf, crc32, viewOf } from "../pictures/containers/bytes.js";

/** A file of an archive. */
export interface ZipFile {
  path: string;
  bytes: Uint8Array<ArrayBuffer>;
}

/** A part of an archive. `archive` counts from 0; `isLast` ends that archive. */
export interface ZipPart {
  archive: number;
  bytes: Uint8Array<ArrayBuffer>;
  isLast: boolean;
}

/** Bytes and number of files after which another archive begins. The format has room for 4 GiB and 65,535 files. */
const MOST = 2_000_000_000;
const MOST_FILES = 65_000;

/** Marks at the beginnings of records. Those of files and of the directory share the fields from "version needed" to the name's length. */
const [FILE, ENTRY, END] = [0x04034b50, 0x02014b50, 0x06054b50];
const [FILE_BYTES, ENTRY_BYTES, END_BYTES] = [30, 46, 22];
/** Version 2.0; names are UTF-8. */
const [VERSION, UTF8] = [20, 0x800];

/** The parts of one archive or more with these files, as they come. */
export async function* zipOf(files: AsyncIterable<ZipFile> | Iterable<ZipFile>, most = MOST): AsyncGenerator<ZipPart, void, void> {
  let [archive, at] = [0, 0];
  let entries: Uint8Array<ArrayBuffer>[] = [];
  const part = (bytes: Uint8Array<ArrayBuffer>, isLast = false): ZipPart => {
    at += bytes.length;
    return { archive, bytes, isLast };
  };
  function* end(): Generator<ZipPart, void, void> {
    const start = at;
    for (const entry of entries) yield part(entry);
    const record = new Uint8Array(END_BYTES);
    const view = viewOf(record);
    view.setUint32(0, END, true);
    for (const offset of [8, 10]) view.setUint16(offset, entries.length, true);
    view.setUint32(12, at - start, true);
    view.setUint32(16, start, true);
    yield part(record, true);
  }
  for await (const { path, bytes } of files) {
    if (at > 0 && (at + bytes.length > most || entries.length >= MOST_FILES)) {
      yield* end();
      [archive, at, entries] = [archive + 1, 0, []];
    }
    const common = commonOf(safePath(path), bytes);
    entries.push(recordOf(ENTRY, common, at));
    yield part(recordOf(FILE, common));
    yield part(bytes);
  }
  yield* end();
}

/** The fields that both records of a file have, and its name. */
function commonOf(path: string, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const name = bytesOf(path);
  const common = new Uint8Array(26 + name.length);
  const view = viewOf(common);
  const now = new Date();
  view.setUint16(0, VERSION, true);
  view.setUint16(2, UTF8, true);
  view.setUint16(6, (now.getHours() << 11) | (now.getMinutes() << 5) | (now.getSeconds() >> 1), true);
  view.setUint16(8, ((now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate(), true);
  view.setUint32(10, crc32(bytes), true);
  for (const offset of [14, 18]) view.setUint32(offset, bytes.length, true);
  view.setUint16(22, name.length, true);
  common.set(name, 26);
  return common;
}

/** The record before a file, or that of the directory with the file's place. */
function recordOf(mark: number, common: Uint8Array, place?: number): Uint8Array<ArrayBuffer> {
  const isEntry = place !== undefined;
  const [before, middle] = isEntry ? [6, ENTRY_BYTES] : [4, FILE_BYTES];
  const record = new Uint8Array(middle + common.length - 26);
  record.set(common.subarray(0, 26), before);
  record.set(common.subarray(26), middle);
  const view = viewOf(record);
  view.setUint32(0, mark, true);
  if (isEntry) {
    view.setUint16(4, VERSION, true);
    view.setUint32(42, place, true);
  }
  return record;
}

/** A path that stays below the folder in which the archive is unpacked. */
function safePath(path: string): string {
  return path
    .split("/")
    .filter((part) => part !== "" && part !== "." && part !== "..")
    .join("/");
}

/** Reads the files of an archive by their paths, each when it is asked for. Throws if it is none. */
export async function unzip(archive: Blob): Promise<Map<string, () => Promise<Blob>>> {
  const read = async (start: number, length: number) => viewOf(new Uint8Array(await archive.slice(start, start + length).arrayBuffer()));
  // A comment may follow the last record.
  const tail = Math.max(0, archive.size - END_BYTES - 0xffff);
  const last = await read(tail, archive.size);
  let end = last.byteLength - END_BYTES;
  while (last.getUint32(end, true) !== END) end -= 1;
  const directory = await read(last.getUint32(end + 16, true), last.getUint32(end + 12, true));
  const files = new Map<string, () => Promise<Blob>>();
  for (let at = 0; at < directory.byteLength; ) {
    if (directory.getUint32(at, true) !== ENTRY) throw new Error("the archive is damaged");
    const short = (offset: number) => directory.getUint16(at + offset, true);
    const [method, name, length, place] = [short(10), short(28), directory.getUint32(at + 20, true), directory.getUint32(at + 42, true)];
    const path = new TextDecoder().decode(new Uint8Array(directory.buffer, at + ENTRY_BYTES, name));
    files.set(path, async () => {
      const head = await read(place, FILE_BYTES);
      const start = place + FILE_BYTES + head.getUint16(26, true) + head.getUint16(28, true);
      const stored = archive.slice(start, start + length);
      return method === 0 ? stored : new Response(stored.stream().pipeThrough(new DecompressionStream("deflate-raw"))).blob();
    });
    at += ENTRY_BYTES + name + short(30) + short(32);
  }
  return files;
}
