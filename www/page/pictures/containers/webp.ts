/** XMP packets of WebP files: RFC 9649, section 2.7. */
import { bytesOf, ContainerFault, joined, letters, viewOf, type Span } from "./bytes.js";

const [HAS_XMP, HAS_ALPHA] = [0x04, 0x10];

interface Chunk extends Span {
  type: string;
  /** Bytes without the padding. */
  length: number;
}

/** The packet; `null` without one. */
export function readWebp(bytes: Uint8Array): string | null {
  const found = chunksOf(bytes).find(({ type }) => type === "XMP ");
  return found ? new TextDecoder().decode(bytes.subarray(found.start + 8, found.start + 8 + found.length)) : null;
}

/** The file with another packet, or without one, at its end. The picture stays byte for byte. */
export function writeWebp(bytes: Uint8Array, packet: string | null): Uint8Array<ArrayBuffer> {
  const chunks = chunksOf(bytes);
  const [first] = chunks;
  if (!first) throw new ContainerFault("the file has no picture");
  const isExtended = first.type === "VP8X";
  const header = isExtended ? bytes.slice(first.start, first.end) : extendedHeader(bytes, first);
  if (isExtended && first.length < 10) throw new ContainerFault("the header is too short");
  header[8] = packet === null ? (header[8] ?? 0) & ~HAS_XMP : (header[8] ?? 0) | HAS_XMP;
  const kept = chunks.filter(({ type }) => type !== "VP8X" && type !== "XMP ").map(({ start, end }) => bytes.subarray(start, end));
  // A simple file stays one without a packet.
  const before = packet === null && !isExtended ? [] : [header];
  const body = joined([bytesOf("WEBP"), ...before, ...kept, ...(packet === null ? [] : [chunkOf("XMP ", bytesOf(packet))])]);
  const riff = joined([bytesOf("RIFF"), new Uint8Array(4), body, bytes.subarray(endOf(bytes))]);
  viewOf(riff).setUint32(4, body.length, true);
  return riff;
}

function endOf(bytes: Uint8Array): number {
  const size = viewOf(bytes).getUint32(4, true);
  return Math.min(8 + size + (size & 1), bytes.length);
}

function chunksOf(bytes: Uint8Array): Chunk[] {
  if (bytes.length < 20 || letters(bytes, 0, 4) !== "RIFF" || letters(bytes, 8, 12) !== "WEBP") throw new ContainerFault("not a WebP file");
  const view = viewOf(bytes);
  if (8 + view.getUint32(4, true) > bytes.length) throw new ContainerFault("the file is shorter than it says");
  const [chunks, last] = [[] as Chunk[], endOf(bytes)];
  for (let start = 12; start < last; ) {
    if (start + 8 > last) throw new ContainerFault("a chunk has no header");
    const length = view.getUint32(start + 4, true);
    const end = start + 8 + length + (length & 1);
    if (end > last) throw new ContainerFault("a chunk is longer than the file");
    chunks.push({ type: letters(bytes, start, start + 4), start, end, length });
    start = end;
  }
  if (!chunks.some(({ type }) => /^(VP8 |VP8L|ANMF)$/.test(type))) throw new ContainerFault("the file has no picture");
  return chunks;
}

function chunkOf(type: string, data: Uint8Array): Uint8Array {
  const head = new Uint8Array(8);
  head.set(bytesOf(type));
  viewOf(head).setUint32(4, data.length, true);
  return joined([head, data, new Uint8Array(data.length & 1)]);
}

/** The header of extended files for a simple one: the size of the picture, and whether it may be transparent. */
function extendedHeader(bytes: Uint8Array, { type, start, length }: Chunk): Uint8Array {
  const [view, at] = [viewOf(bytes), start + 8];
  const data = new Uint8Array(10);
  let [width, height] = [0, 0];
  if (type === "VP8L" && length >= 5 && bytes[at] === 0x2f) {
    const bits = view.getUint32(at + 1, true);
    [width, height] = [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
    if ((bits >>> 28) & 1) data[0] = HAS_ALPHA;
  } else if (type === "VP8 " && length >= 10 && letters(bytes, at + 3, at + 6) === "\x9d\x01\x2a") {
    [width, height] = [view.getUint16(at + 6, true) & 0x3fff, view.getUint16(at + 8, true) & 0x3fff];
  }
  if (width === 0 || height === 0) throw new ContainerFault("the picture has no size");
  for (const [index, value] of [width - 1, height - 1].entries()) {
    data.set([value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff], 4 + 3 * index);
  }
  return chunkOf("VP8X", data);
}
