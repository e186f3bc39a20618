/** The worker of `load.mjs`: a package of random shards in Cache Storage, and the steps from there to verified bytes. */
import { sha256With } from "../src/store/hash.js";
import { PackageFolder } from "../src/store/package-folder.js";
import { PackageStore } from "../src/store/package-store.js";

const SHARD_BYTES = 32 << 20;

const sha256 = sha256With(() => {
  throw new Error("no WebCrypto: open the page over https or from localhost");
});
const url = `${location.origin}/ocelli-imported/bench/`;
const hashes: string[] = [];

const steps: Record<string, (shards: number) => Promise<unknown>> = {
  "write, one at a time": write,
  "hash, one at a time": hash(1),
  "hash, 4 at a time": hash(4),
  "read, one at a time": read(1),
  "read, 4 at a time": read(4),
  "read and verify as an engine does": async () => {
    const signal = new AbortController().signal;
    const store = await PackageStore.open({ packageUrl: url, sha256, signal, onReport: () => undefined });
    const { shards } = await store.index();
    for (let index = 0; index < shards; index++) await store.shard(index);
  },
  delete: async () => (await open()).deleteOthers([]),
};

/** Answers a step's name with its seconds. Without a name it lists them. */
addEventListener("message", async ({ data }: MessageEvent<{ step: string; shards: number } | null>) => {
  if (!data) return postMessage(Object.keys(steps));
  const began = performance.now();
  try {
    await steps[data.step]?.(data.shards);
    postMessage((performance.now() - began) / 1000);
  } catch (thrown) {
    postMessage(String(thrown));
  }
});

function open(): Promise<PackageFolder> {
  const onProblem = (problem: string, cause: unknown) => {
    throw new Error(problem, { cause });
  };
  return PackageFolder.open(url, { onProblem });
}

async function write(shards: number): Promise<void> {
  const folder = await open();
  const bytes = new Uint8Array(SHARD_BYTES);
  for (let start = 0; start < SHARD_BYTES; start += 65_536) crypto.getRandomValues(bytes.subarray(start, start + 65_536));
  const entries: { file: string; bytes: number; sha256: string }[] = [];
  for (let index = 0; index < shards; index++) {
    bytes[0] = index;
    hashes[index] = await sha256(bytes);
    entries.push({ file: shardName(index), bytes: SHARD_BYTES, sha256: hashes[index] as string });
    await folder.put(shardName(index), bytes, hashes[index]);
  }
  const tokenizer = { file: "tokenizer.json", bytes: 1, sha256: await sha256(new Uint8Array(1)) };
  await folder.put(tokenizer.file, new Uint8Array(1), tokenizer.sha256);
  await folder.put("model.json", new TextEncoder().encode(JSON.stringify({ tokenizer, shards: entries })));
}

function hash(width: number) {
  return async (shards: number) => {
    const bytes = new Uint8Array(SHARD_BYTES);
    await inParallel(shards, width, () => sha256(bytes));
  };
}

function read(width: number) {
  return async (shards: number) => {
    const folder = await open();
    await inParallel(shards, width, (index) => folder.get(shardName(index), hashes[index]));
  };
}

async function inParallel(count: number, width: number, act: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const work = async () => {
    while (next < count) await act(next++);
  };
  await Promise.all(Array.from({ length: width }, work));
}

function shardName(index: number): string {
  return `shard-${String(index).padStart(4, "0")}.bin`;
}
