/** Alternative texts in copies of picture files: what other programs read, and what must stay as it was. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { deflateSync } from "node:zlib";
import { build } from "esbuild";
import { inBrowsers, type Tab } from "./driver.js";
import { NAMESPACE, partsOf, read } from "./picture-parts.js";
import { startSite, type Site } from "./site.js";

interface Texts {
  alt: string;
  long: string;
  isDecorative: boolean;
  language: string;
}

/** The folder for copies that other programs read, if they are wanted. */
const COPIES = process.env["OCELLI_COPIES"];
const fixtures = resolve("../tests/fixtures");
const containers = readdirSync(join(fixtures, "containers"));
const base = (name: string) => readFileSync(join(fixtures, containers.includes(name) ? "containers" : "images", name));
/** Files of `images` that are not damaged. */
const IMAGES =
  "baseline.jpg chroma420.jpg grey.jpg progressive.jpg turned.jpg bilevel.png flipped.png grey16.png palette_clear.png rgb.png " +
  "rgba.png turned_last.png turned_profile.png lossless_alpha.webp lossy.webp lossy_alpha.webp turned.webp";
const IPTC = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/";
const TEXTS: Texts = { alt: "A “dog” & a <cat>, Où ? \u{1F436}", long: "First line.\nSecond line.", isDecorative: false, language: "fr" };

const segment = (marker: number, data: Buffer | string): Buffer => {
  const bytes = Buffer.from(data);
  return Buffer.concat([Buffer.from([0xff, marker, (bytes.length + 2) >> 8, (bytes.length + 2) & 255]), bytes]);
};
/** A JPEG file with segments after its first marker. */
const withSegments = (file: Buffer, ...segments: Buffer[]) => Buffer.concat([file.subarray(0, 2), ...segments, file.subarray(2)]);
const packet = (attributes: string, content: string) =>
  `<?xpacket begin="\uFEFF" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">` +
  `<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:i="${IPTC}" xmp:Rating="4" ${attributes}>` +
  `<dc:creator><rdf:Seq><rdf:li>Somebody</rdf:li></rdf:Seq></dc:creator>${content}</rdf:Description></rdf:RDF></x:xmpmeta>${" ".repeat(2000)}<?xpacket end="w"?>`;
const asElement = packet(
  "",
  `<i:AltTextAccessibility><rdf:Alt><rdf:li xml:lang="x-default">The old text</rdf:li><rdf:li xml:lang="de">Der alte Text</rdf:li></rdf:Alt></i:AltTextAccessibility>`,
);
const asAttribute = packet(`i:AltTextAccessibility="The old text"`, "");
const chunk = (type: string, data: Buffer): Buffer => {
  const bytes = Buffer.concat([Buffer.alloc(4), Buffer.from(type), data, Buffer.alloc(4)]);
  bytes.writeUInt32BE(data.length);
  return bytes;
};
const pngText = (text: string, isPacked: boolean) =>
  chunk(
    "iTXt",
    Buffer.concat([Buffer.from(`XML:com.adobe.xmp\0${isPacked ? "\x01" : "\0"}\0\0\0`), isPacked ? deflateSync(text) : Buffer.from(text)]),
  );
/** A PNG file with a chunk after its header. */
const withChunk = (file: Buffer, added: Buffer) => Buffer.concat([file.subarray(0, 33), added, file.subarray(33)]);

/** A multi-picture file: the index, the first picture, and a second one after it. */
function multiPicture(): Buffer {
  const [first, second] = [base("baseline.jpg"), base("progressive.jpg")];
  const index = Buffer.alloc(4 + 8 + 2 + 12 + 4 + 32);
  index.write("MPF\0II*\0");
  index.writeUInt32LE(8, 8);
  index.writeUInt16LE(1, 12);
  index.writeUInt16LE(0xb002, 14);
  index.writeUInt16LE(7, 16);
  index.writeUInt32LE(32, 18);
  index.writeUInt32LE(26, 22);
  const file = withSegments(first, segment(0xe2, index));
  const header = 2 + 4 + 4;
  file.writeUInt32LE(file.length, header + 26 + 4);
  file.writeUInt32LE(second.length, header + 26 + 16 + 4);
  file.writeUInt32LE(file.length - header, header + 26 + 16 + 8);
  return Buffer.concat([file, second]);
}

/** Offset and size of the pictures of a multi-picture file. */
function indexOf(file: Buffer): { start: number; size: number }[] {
  const header = file.indexOf("MPF\0") + 4;
  return [0, 1].map((at) => {
    const entry = header + 26 + 16 * at;
    return { start: at === 0 ? 0 : header + file.readUInt32LE(entry + 8), size: file.readUInt32LE(entry + 4) };
  });
}

const exif = base("turned.jpg").subarray(base("turned.jpg").indexOf("Exif\0") - 4);
const exifSegment = exif.subarray(0, 2 + exif.readUInt16BE(2));
const extended = segment(0xe1, `http://ns.adobe.com/xmp/extension/\0${"0".repeat(32)}${"\0".repeat(8)}<more/>`);
const SAMPLES: Record<string, Buffer> = {
  ...Object.fromEntries([...containers, ...IMAGES.split(" ")].map((name) => [name, base(name)])),
  "exif first.jpg": Buffer.concat([base("cmyk.jpg").subarray(0, 2), exifSegment, base("cmyk.jpg").subarray(2)]),
  "element.jpg": withSegments(base("baseline.jpg"), segment(0xe1, `${NAMESPACE}${asElement}`)),
  "attribute.jpg": withSegments(base("progressive.jpg"), segment(0xe1, `${NAMESPACE}${asAttribute}`)),
  "extended.jpg": withSegments(
    base("baseline.jpg"),
    segment(0xe1, `${NAMESPACE}${asElement}`),
    extended,
    segment(0xe2, "ICC_PROFILE\0\x01\x01"),
  ),
  "several.jpg": multiPicture(),
  "fill.jpg": withSegments(base("baseline.jpg"), Buffer.from([0xff, 0xff])),
  "trailing.jpg": Buffer.concat([base("baseline.jpg"), Buffer.from("something after the end")]),
  "existing.png": withChunk(base("rgb.png"), pngText(asElement, false)),
  "packed.png": withChunk(base("animated.png"), pngText(asAttribute, true)),
};

/** Writes the pictures before and after, for programs that are not part of the tests: `readers.py`. */
function keepCopies(folder: string, names: string[], before: Buffer[], after: { bytes: Buffer | null }[]): void {
  for (const part of ["before", "after"]) mkdirSync(join(folder, part), { recursive: true });
  for (const [index, name] of names.entries()) {
    writeFileSync(join(folder, "before", name), before[index] ?? "");
    writeFileSync(join(folder, "after", name), after[index]?.bytes ?? "");
  }
  writeFileSync(join(folder, "texts.json"), JSON.stringify(TEXTS));
}

inBrowsers("alternative texts in files", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    const { outputFiles } = await build({ entryPoints: ["page/pictures/embed.ts"], bundle: true, format: "esm", write: false });
    site.replaced.set("/test/embed.js", outputFiles[0]?.contents ?? new Uint8Array());
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  /** Writes texts into files, reads their present ones, and compares the decoded pixels. */
  async function embedded(
    files: Buffer[],
    texts: Texts,
  ): Promise<{ bytes: Buffer | null; sidecar: string; had: string | null; isSame: boolean }[]> {
    const told = await tab.run(
      async ({ files, texts }) => {
        const { embed, embeddedAlt } = (await import("/test/embed.js" as string)) as typeof import("../page/pictures/embed.js");
        const base64 = (bytes: Uint8Array) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
        const pixels = async (bytes: Uint8Array<ArrayBuffer>) => {
          const bitmap = await createImageBitmap(new Blob([bytes])).catch(() => null);
          if (!bitmap) return "";
          const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
          context?.drawImage(bitmap, 0, 0);
          return `${bitmap.width} ${context?.getImageData(0, 0, bitmap.width, bitmap.height).data.join() ?? ""}`;
        };
        const told = [];
        for (const file of files) {
          const before = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
          const { bytes, sidecar } = await embed(before, texts);
          const isSame = bytes === null || (await pixels(before)) === (await pixels(bytes));
          told.push({
            bytes: bytes && base64(bytes),
            sidecar: sidecar ? new TextDecoder().decode(sidecar) : "",
            had: await embeddedAlt(before),
            isSame,
          });
        }
        return told;
      },
      { files: files.map((file) => file.toString("base64")), texts },
    );
    return told.map((each) => ({ ...each, bytes: each.bytes === null ? null : Buffer.from(each.bytes, "base64") }));
  }

  test("texts are read back in two languages, everything else stays, and a second writing replaces them", async () => {
    const names = Object.keys(SAMPLES);
    const files = Object.values(SAMPLES);
    const first = await embedded(files, TEXTS);
    const again = { alt: "Another text", long: "Another description", isDecorative: false, language: "de" };
    const second = await embedded(
      first.map(({ bytes }) => bytes ?? Buffer.alloc(0)),
      again,
    );
    if (COPIES) keepCopies(COPIES, names, files, first);
    for (const [index, name] of names.entries()) {
      const file = files[index] ?? Buffer.alloc(0);
      for (const [told, texts] of [
        [first[index], TEXTS],
        [second[index], again],
      ] as const) {
        const bytes = told?.bytes;
        assert.ok(bytes, `${name} takes the text`);
        const { alt, long, others } = read(bytes);
        assert.deepEqual(alt, { "x-default": texts.alt, [texts.language]: texts.alt }, name);
        assert.deepEqual(long, { "x-default": texts.long, [texts.language]: texts.long }, name);
        assert.equal(others, read(file).others, `${name}: other metadata`);
        // A simple WebP file gets the header of extended ones.
        const parts = partsOf(bytes).filter(([kind]) => kind !== "VP8X");
        assert.deepEqual(
          parts,
          partsOf(file).filter(([kind]) => kind !== "VP8X"),
          `${name}: other parts`,
        );
        assert.ok(told.isSame, `${name}: pixels`);
      }
      assert.equal(second[index]?.had, TEXTS.alt, name);
    }
    assert.deepEqual(
      names.filter((_, index) => first[index]?.had === "The old text"),
      ["element.jpg", "attribute.jpg", "extended.jpg", "existing.png", "packed.png"],
    );
    const kept = first[names.indexOf("extended.jpg")]?.bytes?.toString("utf8") ?? "";
    assert.ok(kept.includes("Somebody") && kept.includes('xmp:Rating="4"') && !kept.includes("Der alte Text"));
  });

  test("the index of a multi-picture file is put right", async () => {
    const before = SAMPLES["several.jpg"] ?? Buffer.alloc(0);
    const [told] = await embedded([before], TEXTS);
    const bytes = told?.bytes;
    assert.ok(bytes);
    const [old, now] = [indexOf(before), indexOf(bytes)];
    const cut = (file: Buffer, at: { start: number; size: number } | undefined) =>
      file.subarray(at?.start, (at?.start ?? 0) + (at?.size ?? 0));
    assert.deepEqual(cut(bytes, now[1]), cut(before, old[1]));
    assert.equal(now[0]?.size, (old[0]?.size ?? 0) + bytes.length - before.length);
    assert.deepEqual(cut(bytes, now[0]).subarray(-2), Buffer.from([0xff, 0xd9]));
  });

  test("a decorative picture loses its texts, and one without a packet stays as it is", async () => {
    const texts = { alt: "", long: "", isDecorative: true, language: "en" };
    const [bare, known] = await embedded([base("rgb.png"), SAMPLES["element.jpg"] ?? Buffer.alloc(0)], texts);
    assert.deepEqual(bare?.bytes, base("rgb.png"));
    assert.deepEqual(read(known?.bytes ?? Buffer.alloc(0)).alt, {});
  });

  test("other formats, damaged files, unreadable and too large packets get a file beside them", async () => {
    const broken = withSegments(base("baseline.jpg"), segment(0xe1, `${NAMESPACE}<x:xmpmeta><unclosed>`));
    const entities = withSegments(base("baseline.jpg"), segment(0xe1, `${NAMESPACE}<!DOCTYPE a [<!ENTITY b "c">]>${asElement}`));
    const full = withSegments(base("baseline.jpg"), segment(0xe1, NAMESPACE + packet("", `<dc:title>${"x".repeat(60_000)}</dc:title>`)));
    const files = [
      Buffer.from("GIF89a"),
      base("baseline.jpg").subarray(0, 300),
      base("rgb.png").subarray(0, 90),
      base("lossy.webp").subarray(0, 60),
      broken,
      entities,
      full,
      // Their packets name a prefix that is not bound.
      base("turned_xmp.jpg"),
      base("turned_xmp.png"),
      base("turned_xmp.webp"),
    ];
    const large = { ...TEXTS, long: "y".repeat(8000) };
    for (const [index, { bytes, sidecar }] of (await embedded(files, large)).entries()) {
      assert.equal(bytes, null, String(index));
      assert.match(sidecar, /AltTextAccessibility><rdf:Alt><rdf:li xml:lang="x-default">A “dog” &amp; a &lt;cat&gt;/);
    }
  });

  test("characters that XML forbids are left out", async () => {
    const [told] = await embedded([base("baseline.jpg")], { ...TEXTS, alt: "a\u0000\u000B\uFFFEb\uD800c" });
    assert.equal(read(told?.bytes ?? Buffer.alloc(0)).alt["x-default"], "ab\uFFFDc");
  });

  test("10,000 mutated files cause no exception, and grow by no more than a packet", async () => {
    const files = Object.values(SAMPLES).map((file) => file.toString("base64"));
    const told = await tab.run(
      async ({ files, texts }) => {
        const { embed, embeddedAlt } = (await import("/test/embed.js" as string)) as typeof import("../page/pictures/embed.js");
        const all = files.map((file) => Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0)));
        let seed = 42;
        const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
        const told = { faults: [] as string[], written: 0, most: 0 };
        for (let round = 0; round < 10_000; round++) {
          const file = (all[round % all.length] ?? new Uint8Array()).slice(0);
          for (let change = random(4); change >= 0; change--) file[random(random(2) ? 64 : file.length)] = random(256);
          const mutated = random(5) ? file : file.slice(0, random(file.length));
          try {
            const { bytes } = await embed(mutated, texts);
            if (round % 10 === 0) await embeddedAlt(mutated);
            if (bytes) told.written += 1;
            told.most = Math.max(told.most, (bytes?.length ?? 0) - mutated.length);
          } catch (thrown) {
            told.faults.push(`${round}: ${String(thrown)}`);
          }
        }
        return told;
      },
      { files, texts: TEXTS },
    );
    assert.deepEqual(told.faults, []);
    assert.ok(told.written > 1000 && told.most <= 70_000, JSON.stringify(told));
    console.log(`${browser().name}: ${told.written} of 10,000 mutated files took the text, which added at most ${told.most} bytes`);
  });
});
