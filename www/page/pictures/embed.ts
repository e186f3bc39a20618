/** Alternative texts in picture files: reads them, and writes them into copies. Pixels and all other metadata stay as they are. */
import { bytesOf, ContainerFault, letters } from "./containers/bytes.js";
import { readJpeg, writeJpeg } from "./containers/jpeg.js";
import { readPng, writePng } from "./containers/png.js";
import { readWebp, writeWebp } from "./containers/webp.js";
import { altOf, newPacket, packetWith, type PacketTexts } from "./xmp.js";

interface Container {
  read: (bytes: Uint8Array) => string | null | Promise<string | null>;
  /** Throws {@link ContainerFault} for a damaged file and for a packet that does not fit. */
  write: (bytes: Uint8Array, packet: string | null) => Uint8Array<ArrayBuffer>;
}

/** A copy of a picture with its texts, or the texts for a file beside it. */
export type Embedded = { bytes: Uint8Array<ArrayBuffer>; sidecar: null } | { bytes: null; sidecar: Uint8Array<ArrayBuffer> };

/** The alternative text in a file; `null` without one, and for damaged files. */
export async function embeddedAlt(bytes: Uint8Array): Promise<string | null> {
  const packet = await faultless(async () => (await containerOf(bytes)?.read(bytes)) ?? null);
  return packet ? altOf(packet) : null;
}

/** Writes texts into a copy of a file; those of other formats, and of damaged files, are for a file beside it. */
export async function embed(bytes: Uint8Array, texts: PacketTexts): Promise<Embedded> {
  const fresh = newPacket(texts);
  const container = containerOf(bytes);
  const copy = await faultless(async () => {
    const old = await container?.read(bytes);
    if (!old && texts.isDecorative) return new Uint8Array(bytes);
    const packet = old ? packetWith(old, texts) : fresh;
    return packet === null ? null : (container?.write(bytes, packet) ?? null);
  });
  return copy ? { bytes: copy, sidecar: null } : { bytes: null, sidecar: bytesOf(fresh) };
}

function containerOf(bytes: Uint8Array): Container | null {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return { read: readJpeg, write: writeJpeg };
  if (letters(bytes, 1, 4) === "PNG") return { read: readPng, write: writePng };
  return letters(bytes, 0, 4) === "RIFF" ? { read: readWebp, write: writeWebp } : null;
}

async function faultless<T>(act: () => Promise<T>): Promise<T | null> {
  try {
    return await act();
  } catch (thrown) {
    if (thrown instanceof ContainerFault) return null;
    throw thrown;
  }
}
