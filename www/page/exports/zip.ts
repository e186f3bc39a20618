/** ZIP archives, without compression: pictures are compressed already. */
import { Zip, ZipPassThrough } from "fflate";

/** A file of an archive. */
export interface ZipFile {
  path: string;
  bytes: Uint8Array;
}

/** A part of an archive. `archive` counts from 0; `isLast` ends that archive. */
export interface ZipPart {
  archive: number;
  bytes: Uint8Array;
  isLast: boolean;
}

/** Bytes of files after which another archive begins. */
const MOST = 2_000_000_000;

/** The parts of one archive or more with these files, as they come. */
export async function* zipOf(files: AsyncIterable<ZipFile> | Iterable<ZipFile>, most = MOST): AsyncGenerator<ZipPart, void, void> {
  let archive = 0;
  let [zip, ready, size] = begin();
  const parts = (): ZipPart[] => ready.splice(0).map((part) => ({ archive, ...part }));
  for await (const { path, bytes } of files) {
    if (size > 0 && size + bytes.length > most) {
      zip.end();
      yield* parts();
      archive += 1;
      [zip, ready, size] = begin();
    }
    const file = new ZipPassThrough(safePath(path));
    zip.add(file);
    file.push(bytes, true);
    size += bytes.length;
    yield* parts();
  }
  zip.end();
  yield* parts();
}

function begin(): [Zip, { bytes: Uint8Array; isLast: boolean }[], number] {
  const ready: { bytes: Uint8Array; isLast: boolean }[] = [];
  const zip = new Zip((fault, bytes, isLast) => {
    if (fault) throw fault;
    ready.push({ bytes, isLast });
  });
  return [zip, ready, 0];
}

/** A path that stays below the folder in which the archive is unpacked. */
function safePath(path: string): string {
  return path
    .split("/")
    .filter((part) => part !== "" && part !== "." && part !== "..")
    .join("/");
}
