/** Alternative texts in XMP packets: IPTC Photo Metadata 2025.1, and language alternatives of XMP specification part 1. */

const RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
const IPTC = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/";
const XML = "http://www.w3.org/XML/1998/namespace";
const [ALT, LONG] = ["AltTextAccessibility", "ExtDescrAccessibility"];

/** Texts to write. An empty one leaves the file's own; a decorative picture loses both. */
export interface PacketTexts {
  alt: string;
  long: string;
  isDecorative: boolean;
  /** A language tag; empty if unknown. */
  language: string;
}

/** The alternative text of a packet, in the default language or else the first; `null` without one. */
export function altOf(packet: string): string | null {
  const parsed = parse(packet);
  for (const description of parsed ? descriptionsOf(parsed) : []) {
    const attribute = description.getAttributeNS(IPTC, ALT);
    if (attribute) return attribute;
    const [property] = description.getElementsByTagNameNS(IPTC, ALT);
    if (!property) continue;
    const items = [...property.getElementsByTagNameNS(RDF, "li")];
    const item = items.find((each) => each.getAttributeNS(XML, "lang")?.toLowerCase() === "x-default") ?? items[0] ?? property;
    return item.textContent?.trim() || null;
  }
  return null;
}

/** The packet with these texts, everything else as it was; `null` if it cannot be read. */
export function packetWith(packet: string, texts: PacketTexts): string | null {
  const parsed = parse(packet);
  const all = parsed ? descriptionsOf(parsed) : [];
  const [first] = all;
  if (!parsed || !first) return null;
  for (const [name, text] of [[ALT, texts.alt] as const, [LONG, texts.long] as const]) {
    if (!text && !texts.isDecorative) continue;
    let place = first;
    for (const description of all) {
      const old = [...description.children].filter((child) => child.namespaceURI === IPTC && child.localName === name);
      if (old.length === 0 && !description.hasAttributeNS(IPTC, name)) continue;
      place = description;
      for (const each of old) each.remove();
      description.removeAttributeNS(IPTC, name);
    }
    if (!texts.isDecorative) place.append(propertyOf(parsed, name, text, texts.language));
  }
  return new XMLSerializer().serializeToString(parsed);
}

/** A packet with these texts alone. */
export function newPacket(texts: PacketTexts): string {
  const empty =
    `<?xpacket begin="\uFEFF" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">` +
    `<rdf:RDF xmlns:rdf="${RDF}"><rdf:Description rdf:about="" xmlns:Iptc4xmpCore="${IPTC}"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>`;
  return packetWith(empty, texts) ?? empty;
}

/** A text without what XML 1.0 forbids. */
export function xmlText(text: string): string {
  return (
    text
      .replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, "\uFFFD")
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that are removed.
      .replace(/[\x00-\x08\x0B\x0C\x0E-\x1F\uFFFE\uFFFF]/g, "")
  );
}

function parse(packet: string): Document | null {
  // A packet has no document type; entities could make it grow without end.
  if (packet.includes("<!DOCTYPE")) return null;
  const parsed = new DOMParser().parseFromString(packet.replace(/^\uFEFF/, "").trim(), "application/xml");
  return parsed.getElementsByTagName("parsererror").length > 0 ? null : parsed;
}

function descriptionsOf(parsed: Document): Element[] {
  return [...parsed.getElementsByTagNameNS(RDF, "Description")].filter(
    ({ parentElement }) => parentElement?.namespaceURI === RDF && parentElement.localName === "RDF",
  );
}

/** A language alternative: the text in the default language, and again in its own. */
function propertyOf(parsed: Document, name: string, text: string, language: string): Element {
  const property = parsed.createElementNS(IPTC, `Iptc4xmpCore:${name}`);
  const alternatives = parsed.createElementNS(RDF, "rdf:Alt");
  for (const tag of ["x-default", ...(language ? [language] : [])]) {
    const item = parsed.createElementNS(RDF, "rdf:li");
    item.setAttributeNS(XML, "xml:lang", tag);
    item.textContent = xmlText(text);
    alternatives.append(item);
  }
  property.append(alternatives);
  return property;
}
