/** A buffer that is filled in order by response bodies, each of which may begin at another position of the file. */
import { NetworkFault } from "./fault.js";
import type { Reply } from "./reply.js";

/** A range of a file that is filled from its start. */
export interface PartialBuffer {
  bytes: Uint8Array<ArrayBuffer>;
  /** Position of `bytes[0]` in the file. */
  offset: number;
  /** Bytes that have arrived so far. */
  filled: number;
}

/**
 * Fills `buffer` until it is full or the body ends; a body that begins before the first missing byte is skipped up to it. Returns the
 * number of bytes added. Throws `NetworkFault`; bytes that came before it stay in the buffer.
 */
export async function fill(reply: Reply, buffer: PartialBuffer, onBytes: (added: number) => void): Promise<number> {
  const { bytes, offset } = buffer;
  const before = buffer.filled;
  while (buffer.filled < bytes.length) {
    const piece = await reply.next();
    if (!piece) {
      if (reply.isComplete) break;
      throw new NetworkFault("truncated", reply.url, `the body ended at byte ${reply.position} of ${reply.end}`);
    }
    // Only for a partial response: the length of a whole file may be that of its compressed body.
    if (reply.isPartial && reply.end !== null && reply.position > reply.end) {
      throw new NetworkFault("wrong-range", reply.url, `the body continues after its end at byte ${reply.end}`);
    }
    const pieceStart = reply.position - piece.length - offset;
    const skipped = Math.min(piece.length, buffer.filled - pieceStart);
    const added = piece.subarray(skipped, skipped + bytes.length - buffer.filled);
    bytes.set(added, buffer.filled);
    buffer.filled += added.length;
    onBytes(added.length);
    reply.putBack(piece.subarray(skipped + added.length));
  }
  return buffer.filled - before;
}
