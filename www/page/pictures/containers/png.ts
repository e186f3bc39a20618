/** XMP packets of PNG files: an `iTXt` chunk, by XMP specification part 3, section 1.1.5. */
import { bytesOf, ContainerFault, crc32, joined, letters, viewOf, type Span } from "./bytes.js";

const SIGNATURE = "\x89PNG\r\n\x1a\n";
const KEYWORD = "XML:com.adobe.xmp\0";
/** Most bytes of a packet that is unpacked. */
const MOST = 4_000_000;

interface Chunk extends Span {
  type: string;
}

/** The packet; `null` without one. */
export async function readPng(bytes: Uint8Array): Promise<string | null> {
  const found = chunksOf(bytes).find((chunk) => isPacket(bytes, chunk));
  if (!found) return null;
  const data = bytes.subarray(found.start + 8 + KEYWORD.length, found.end - 4);
  // A flag, a method, and two empty texts that end with zero: a language and a translated keyword.
  const language = data.indexOf(0, 2);
  const translated = language < 0 ? -1 : data.indexOf(0, language + 1);
  if (translated < 0) throw new ContainerFault("a text chunk is damaged");
  const text = data.slice(translated + 1);
  return new TextDecoder().decode(data[0] === 1 ? await unpacked(text) : text);
}

/** The file with another packet, or without one. All other chunks stay byte for byte. */
export function writePng(bytes: Uint8Array, packet: string | null): Uint8Array<ArrayBuffer> {
  const [header, ...others] = chunksOf(bytes);
  if (!header) throw new ContainerFault("the file has no header");
  const kept = others.filter((chunk) => !isPacket(bytes, chunk)).map(({ start, end }) => bytes.subarray(start, end));
  const rest = bytes.subarray(others.at(-1)?.end ?? header.end);
  return joined([bytes.subarray(0, header.end), ...(packet === null ? [] : [chunkOf(packet)]), ...kept, rest]);
}

/** Chunks to the end of the picture, the header first. */
function chunksOf(bytes: Uint8Array): Chunk[] {
  if (letters(bytes, 0, SIGNATURE.length) !== SIGNATURE) throw new ContainerFault("not a PNG file");
  const view = viewOf(bytes);
  const chunks: Chunk[] = [];
  for (let start = SIGNATURE.length; ; ) {
    if (start + 12 > bytes.length) throw new ContainerFault("the file has no end");
    const end = start + 12 + view.getUint32(start);
    if (end > bytes.length) throw new ContainerFault("a chunk is longer than the file");
    const type = letters(bytes, start + 4, start + 8);
    chunks.push({ type, start, end });
    if (type === "IEND") break;
    start = end;
  }
  if (chunks[0]?.type !== "IHDR" || !chunks.some(({ type }) => type === "IDAT")) throw new ContainerFault("the file has no pixels");
  return chunks;
}

function isPacket(bytes: Uint8Array, { type, start, end }: Chunk): boolean {
  const data = start + 8;
  return type === "iTXt" && data + KEYWORD.length + 2 <= end - 4 && letters(bytes, data, data + KEYWORD.length) === KEYWORD;
}

function chunkOf(packet: string): Uint8Array {
  const body = joined([bytesOf(`iTXt${KEYWORD}`), new Uint8Array(4), bytesOf(packet)]);
  const chunk = joined([new Uint8Array(4), body, new Uint8Array(4)]);
  viewOf(chunk).setUint32(0, body.length - 4);
  viewOf(chunk).setUint32(chunk.length - 4, crc32(body));
  return chunk;
}

async function unpacked(packed: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    for (const reader = stream.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) return joined(parts);
      length += value.length;
      if (length > MOST) throw new ContainerFault("a packet is too large");
      parts.push(value);
    }
  } catch (cause) {
    throw new ContainerFault("a packed text is damaged", { cause });
  }
}
