/** The page script of the network and storage tests: modules of the package, without a worker, a model or a GPU. */
import { errorData, type ErrorData } from "../src/errors.js";
import { integrityHash, sha256With } from "../src/store/hash.js";
import { RemoteFile, type RemoteFileOptions } from "../src/net/remote-file.js";
import type { NetworkOptions } from "../src/net/mirrors.js";
import { importedUrl, PackageFolder } from "../src/store/package-folder.js";
import { packages } from "../src/store/packages.js";
import type { LoadReport } from "../src/store/report.js";
import { PackageStore } from "../src/store/package-store.js";

export interface PackageLoad {
  url: string;
  integrity?: string;
  mirrors?: string[];
  storage?: "prefer" | "require";
  network?: NetworkOptions;
  /** Time limit. */
  abortAfterMs?: number;
}

/** SHA-256 of the tokenizer and of every shard, or the error. */
export type Outcome = { hashes: string[]; reports: LoadReport[] } | { error: ErrorData; reports: LoadReport[] };

const sha256 = sha256With(() => {
  throw new Error("no WebCrypto");
});

async function loadPackage({ url, integrity, mirrors, storage, network, abortAfterMs }: PackageLoad): Promise<Outcome> {
  const reports: LoadReport[] = [];
  const stop = new AbortController();
  if (abortAfterMs !== undefined) setTimeout(() => stop.abort(), abortAfterMs);
  try {
    const store = await PackageStore.open({
      packageUrl: url,
      ...(integrity !== undefined && { manifestSha256: integrityHash(integrity) }),
      ...(mirrors && { mirrors }),
      ...(storage && { storage }),
      ...(network && { network }),
      sha256,
      signal: stop.signal,
      onReport: (report) => reports.push(report),
    });
    const { tokenizer, shards } = await store.index();
    const hashes = [await sha256(tokenizer)];
    for (let index = 0; index < shards; index++) hashes.push(await sha256(await store.shard(index)));
    return { hashes, reports };
  } catch (thrown) {
    return { error: errorData(thrown), reports };
  } finally {
    stop.abort();
  }
}

export interface RemoteRead {
  urls: string[];
  options: Omit<RemoteFileOptions, "signal" | "onReceived">;
  /** `[start, end]` of each read, one after another. A number: sequential reads of that many bytes. */
  reads: [number, number][] | number;
}

export type RemoteOutcome = ({ hash: string; size: number; ranges: boolean } | { error: ErrorData }) & { received: number };

let reading = new AbortController();

/** Aborts all reads that have begun. */
function abortReads(): void {
  reading.abort();
  reading = new AbortController();
}

/** SHA-256 of all bytes in the order of the reads. */
async function readRemote({ urls, options, reads }: RemoteRead): Promise<RemoteOutcome> {
  const { signal } = reading;
  let received = 0;
  let file: RemoteFile | null = null;
  try {
    file = await RemoteFile.open(urls, { ...options, onReceived: (bytes) => (received += bytes) });
    const { size, ranges } = file;
    const parts = typeof reads === "number" ? stretches(size, reads) : reads;
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    for (const [start, end] of parts) pieces.push(await file.read(start, end, signal));
    return { hash: await sha256(new Uint8Array(await new Blob(pieces).arrayBuffer())), size, ranges, received };
  } catch (thrown) {
    return { error: errorData(thrown), received };
  } finally {
    file?.close();
  }
}

function stretches(size: number, length: number): [number, number][] {
  return Array.from({ length: Math.ceil(size / length) }, (_, index) => [index * length, Math.min(size, (index + 1) * length)]);
}

/** `inParallel` of `jobs` at a time, none for longer than `patienceMs`. */
async function runAll(
  jobs: (PackageLoad | RemoteRead)[],
  inParallel: number,
  patienceMs: number,
): Promise<(Outcome | RemoteOutcome | "hangs")[]> {
  const outcomes: (Outcome | RemoteOutcome | "hangs")[] = [];
  let next = 0;
  const work = async () => {
    while (next < jobs.length) {
      const index = next++;
      const job = jobs[index] as PackageLoad | RemoteRead;
      const late = new Promise<"hangs">((resolve) => setTimeout(() => resolve("hangs"), patienceMs));
      outcomes[index] = await Promise.race([late, "urls" in job ? readRemote(job) : loadPackage(job)]);
    }
  };
  await Promise.all(Array.from({ length: inParallel }, work));
  return outcomes;
}

const network = { loadPackage, readRemote, abortReads, runAll, packages, PackageFolder, importedUrl, sha256 };
export type NetworkPage = typeof network;
Object.assign(window, { network });
