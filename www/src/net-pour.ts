/** From replies into memory, byte by byte in order, whatever piece of the file each reply begins with. */
import { NetworkFault } from "./net-fault.js";
import type { Reply, Version } from "./net-reply.js";

/** A stretch of a file that is being filled from its front. */
export interface Vessel {
  bytes: Uint8Array<ArrayBuffer>;
  /** Where in the file `bytes` begins. */
  offset: number;
  /** How much of it is there. */
  filled: number;
}

/**
 * Fills `vessel` until it is full or the body is at its end; a body that begins before the gap is skipped up to it.
 * Returns how much was gained. Throws `NetworkFault`, with what came before it kept.
 */
export async function pour(reply: Reply, vessel: Vessel, onGained: (bytes: number) => void): Promise<number> {
  const { bytes, offset } = vessel;
  const before = vessel.filled;
  while (vessel.filled < bytes.length) {
    const piece = await reply.next();
    if (!piece) {
      if (reply.isWhole) break;
      const reason = `the body ended at byte ${reply.position} of ${reply.end}`;
      throw new NetworkFault("truncated", reply.url, reason);
    }
    // Of a whole file the length told may be that of a compressed body.
    if (reply.isPartial && reply.end !== null && reply.position > reply.end) {
      throw new NetworkFault("wrong-range", reply.url, `the body goes on after its end at byte ${reply.end}`);
    }
    const pieceStart = reply.position - piece.length - offset;
    const skipped = Math.min(piece.length, vessel.filled - pieceStart);
    const taken = piece.subarray(skipped, skipped + bytes.length - vessel.filled);
    bytes.set(taken, vessel.filled);
    vessel.filled += taken.length;
    onGained(taken.length);
    reply.putBack(piece.subarray(skipped + taken.length));
  }
  return vessel.filled - before;
}

/** Why `seen` is not the file that was `known`, or `null`. */
export function difference(known: Version, seen: Version): string | null {
  if (known.size !== null && seen.size !== null && known.size !== seen.size) {
    return `it has ${seen.size} bytes and had ${known.size}`;
  }
  if (known.etag !== null && seen.etag !== null) {
    return strong(known.etag) === strong(seen.etag) ? null : `its ETag is ${seen.etag} and was ${known.etag}`;
  }
  if (known.lastModified !== null && seen.lastModified !== null && known.lastModified !== seen.lastModified) {
    return `it is of ${seen.lastModified} and was of ${known.lastModified}`;
  }
  return null;
}

/** Whether `seen`, of another server, is shown to be the file that is `known`. */
export function isSame(known: Version, seen: Version): boolean {
  const isDated = known.lastModified !== null && seen.lastModified !== null;
  const isTagged = known.etag !== null && seen.etag !== null;
  return difference(known, seen) === null && (isTagged || isDated);
}

/** A server that compresses on its way marks the same ETag as weak. */
function strong(etag: string): string {
  return etag.replace(/^W\//, "");
}
