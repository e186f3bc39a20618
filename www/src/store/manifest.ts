/** The part of `model.json` that downloading needs: files and hashes. The wasm module reads and checks the rest. */
import { ocelliError } from "../errors.js";

export interface FileEntry {
  /** Relative to the package. */
  file: string;
  bytes: number;
  /** Lower-case hexadecimal. */
  sha256: string;
}

export interface PackageFiles {
  /** The model's name, for display; older packages have none. */
  name: string | null;
  tokenizer: FileEntry;
  shards: FileEntry[];
}

/** The limits of `src/package/manifest.rs`; a manifest with larger files is invalid. */
const MAX_SHARD_BYTES = 32 << 20;
const MAX_TOKENIZER_BYTES = 256 << 20;

/** Throws `invalid-package` if the text is not a manifest. */
export function parseFiles(manifest: Uint8Array): PackageFiles {
  const { name, tokenizer, shards } = asRecord(parseJson(manifest), "the manifest");
  if (!Array.isArray(shards)) throw invalid("`shards` is not a list");
  return {
    name: typeof name === "string" && name !== "" ? name : null,
    tokenizer: parseFile(tokenizer, "tokenizer", MAX_TOKENIZER_BYTES),
    shards: shards.map((shard: unknown, index) => parseFile(shard, `shards[${index}]`, MAX_SHARD_BYTES)),
  };
}

function parseFile(value: unknown, name: string, maxBytes: number): FileEntry {
  const { file, bytes, sha256 } = asRecord(value, name);
  if (typeof file !== "string" || !/^[\w-][\w.-]*$/.test(file)) throw invalid(`${name}.file is not a plain file name`);
  if (typeof bytes !== "number" || !Number.isInteger(bytes) || bytes < 0 || bytes > maxBytes) {
    throw invalid(`${name}.bytes is not between 0 and ${maxBytes}`);
  }
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw invalid(`${name}.sha256 is not a SHA-256 in lower-case hexadecimal`);
  }
  return { file, bytes, sha256 };
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid(`not JSON: ${String(cause)}`);
  }
}

function asRecord(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(`${what} is not an object`);
  return value as Record<string, unknown>;
}

function invalid(reason: string): Error {
  return ocelliError("invalid-package", `model.json: ${reason}`, { file: "model.json", reason });
}
