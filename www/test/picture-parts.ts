/** Picture files taken apart: what other programs read in them, and what texts must leave as it was. */
import ExifReader from "exifreader";

/** A part of a file: its kind, and its bytes. */
export type Part = [kind: string, bytes: string];

/** Begins the packet in a JPEG file. */
export const NAMESPACE = "http://ns.adobe.com/xap/1.0/\0";

/** Parts of a file, read apart from the code under test, without the packet and what depends on its place. */
export function partsOf(file: Buffer): Part[] {
  const parts: Part[] = [];
  if (file[0] === 0xff) {
    let at = 2;
    while (file[at + 1] !== 0xda) {
      if (file[at + 1] === 0xff) at += 1;
      else {
        const end = at + 2 + file.readUInt16BE(at + 2);
        const body = file.subarray(at + 4, end);
        if (!body.toString("latin1").startsWith(NAMESPACE) && !body.toString("latin1").startsWith("MPF\0"))
          parts.push([String(file[at + 1]), body.toString("base64")]);
        at = end;
      }
    }
    return [...parts, ["pixels", file.subarray(at).toString("base64")]];
  }
  const isPng = file[1] === 0x50;
  for (let at = isPng ? 8 : 12; at + 8 <= file.length; ) {
    const length = isPng ? file.readUInt32BE(at) : file.readUInt32LE(at + 4);
    const type = file.subarray(at + (isPng ? 4 : 0), at + (isPng ? 8 : 4)).toString();
    const body = Buffer.from(file.subarray(at + 8, at + 8 + length));
    if (type === "VP8X") body[0] = (body[0] ?? 0) & ~0x04;
    if (type !== "XMP " && !body.toString("latin1").startsWith("XML:com.adobe.xmp")) parts.push([type, body.toString("base64")]);
    at += isPng ? 12 + length : 8 + length + (length & 1);
  }
  return parts;
}

/** The texts as exifreader reads them, by language; and all tags that are not of XMP. */
export function read(file: Buffer): { alt: Record<string, string>; long: Record<string, string>; others: string } {
  const groups = ExifReader.load(file, { async: false, expanded: true, includeUnknown: true }) as Record<string, Record<string, unknown>>;
  const { xmp = {}, ...others } = groups;
  const byLanguage = (name: string) => {
    const { value = [] } = (xmp[name] ?? {}) as { value?: string | { value: string; attributes?: { lang?: string } }[] };
    const items = typeof value === "string" ? [{ value, attributes: {} as { lang?: string } }] : value;
    return Object.fromEntries(items.map((item) => [item.attributes?.lang ?? "", item.value]));
  };
  // The index of pictures is compared apart; simple WebP files have no header of their own.
  const { mpf: _, Thumbnail: __, file: ___, riff: ____, ...rest } = others;
  return { alt: byLanguage("AltTextAccessibility"), long: byLanguage("ExtDescrAccessibility"), others: JSON.stringify(rest) };
}
