/** XMP packets of JPEG files: XMP specification part 3, section 1.1.3; the index of multi-picture files: CIPA DC-007. */
import { bytesOf, ContainerFault, joined, letters, viewOf, type Span } from "./bytes.js";

const NAMESPACE = "http://ns.adobe.com/xap/1.0/\0";
/** Most bytes of a packet in one segment. */
const MOST = 65_502;
const [SOI, SOS, EOI, APP0, APP1, APP2] = [0xd8, 0xda, 0xd9, 0xe0, 0xe1, 0xe2];

interface Segment extends Span {
  marker: number;
  /** The first byte after the length. */
  data: number;
}

/** The main packet; `null` without one. */
export function readJpeg(bytes: Uint8Array): string | null {
  const found = segmentsOf(bytes).find((segment) => isPacket(bytes, segment));
  return found ? new TextDecoder().decode(bytes.subarray(found.data + NAMESPACE.length, found.end)) : null;
}

/** The file with another main packet, or without one. Everything from the pixels on stays byte for byte. */
export function writeJpeg(bytes: Uint8Array, packet: string | null): Uint8Array<ArrayBuffer> {
  const segments = segmentsOf(bytes);
  const added = packet === null ? new Uint8Array(0) : segmentOf(packet);
  const removed = segments.filter((segment) => isPacket(bytes, segment));
  // After the leading segments of JFIF and Exif.
  const head = segments.find((segment) => !isLeading(bytes, segment));
  const at = head?.start ?? segments.at(-1)?.end ?? 2;
  const moved = (position: number) =>
    position + (position >= at ? added.length : 0) - removed.reduce((sum, { start, end }) => sum + (position >= end ? end - start : 0), 0);
  const parts = [bytes.subarray(0, at), added];
  let from = at;
  for (const { start, end } of removed) {
    parts.push(bytes.subarray(from, start));
    from = end;
  }
  const written = joined([...parts, bytes.subarray(from)]);
  for (const segment of segments) {
    if (segment.marker === APP2 && startsWith(bytes, segment, "MPF\0")) moveIndex(written, bytes, segment, moved);
  }
  return written;
}

function segmentOf(packet: string): Uint8Array {
  const text = bytesOf(packet);
  if (text.length > MOST) throw new ContainerFault("the packet is too large for a segment");
  const length = 2 + NAMESPACE.length + text.length;
  return joined([new Uint8Array([0xff, APP1, length >> 8, length & 0xff]), bytesOf(NAMESPACE), text]);
}

/** The segments before the pixels. Fill bytes belong to the segment after them. */
function segmentsOf(bytes: Uint8Array): Segment[] {
  if (bytes[0] !== 0xff || bytes[1] !== SOI) throw new ContainerFault("not a JPEG file");
  const segments: Segment[] = [];
  let at = 2;
  for (;;) {
    const start = at;
    if (bytes[at] !== 0xff) throw new ContainerFault("no marker where one is expected");
    while (bytes[at] === 0xff) at += 1;
    const marker = bytes[at] ?? EOI;
    if (marker === SOS) return segments;
    if (marker === EOI || marker < 0xc0) throw new ContainerFault("the file has no pixels");
    const length = ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    const end = at + 1 + length;
    if (length < 2 || end > bytes.length) throw new ContainerFault("a segment is longer than the file");
    segments.push({ marker, start, data: at + 3, end });
    at = end;
  }
}

function startsWith(bytes: Uint8Array, { data, end }: Segment, text: string): boolean {
  return data + text.length <= end && letters(bytes, data, data + text.length) === text;
}

function isPacket(bytes: Uint8Array, segment: Segment): boolean {
  return segment.marker === APP1 && startsWith(bytes, segment, NAMESPACE);
}

function isLeading(bytes: Uint8Array, segment: Segment): boolean {
  return segment.marker === APP0 || (segment.marker === APP1 && startsWith(bytes, segment, "Exif\0"));
}

/** Puts the index of a multi-picture file right: the size of the first picture, and the places of the others relative to the index. */
function moveIndex(written: Uint8Array, before: Uint8Array, segment: Segment, moved: (position: number) => number): void {
  // Offsets count from the TIFF header after `MPF\0`.
  const base = segment.data + 4;
  const [old, now, newBase] = [viewOf(before), viewOf(written), moved(base)];
  const isLittle = letters(before, base, base + 2) === "II";
  const within = (at: number, length: number) => at >= base && at + length <= segment.end;
  if (!within(base, 8)) return;
  const directory = base + old.getUint32(base + 4, isLittle);
  if (!within(directory, 2)) return;
  for (let entry = directory + 2; entry < directory + 2 + 12 * old.getUint16(directory, isLittle); entry += 12) {
    if (!within(entry, 12)) return;
    if (old.getUint16(entry, isLittle) !== 0xb002) continue;
    const [length, first] = [old.getUint32(entry + 4, isLittle), base + old.getUint32(entry + 8, isLittle)];
    if (!within(first, length)) return;
    for (let at = first; at + 16 <= first + length; at += 16) {
      const [size, offset] = [old.getUint32(at + 4, isLittle), old.getUint32(at + 8, isLittle)];
      const place = newBase + (at - base);
      if (at === first) now.setUint32(place + 4, moved(size), isLittle);
      else if (offset > 0) now.setUint32(place + 8, moved(base + offset) - newBase, isLittle);
    }
  }
}
