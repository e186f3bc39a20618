/** Places in a JSON text: of its first fault, and of each value. */

/** A part of a text, from its first letter to the one after its last. */
export interface Extent {
  from: number;
  to: number;
}

/** A JSON text that was read. */
export interface JsonText {
  /** `undefined` if the text has a fault. */
  value: unknown;
  /** Position of the first fault; `null` without one. */
  fault: number | null;
  /** Extents of all values by their JSON pointers (RFC 6901). */
  places: ReadonlyMap<string, Extent>;
}

/** A line and a column, from 1. */
export interface Place {
  line: number;
  column: number;
}

export function placeOf(text: string, at: number): Place {
  const before = text.slice(0, at).split("\n");
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

/** The extent of the value at `pointer`, or of the nearest one around it. */
export function extentOf({ places }: JsonText, pointer: string): Extent | null {
  for (let at = pointer; ; at = at.slice(0, at.lastIndexOf("/"))) {
    const extent = places.get(at);
    if (extent || at === "") return extent ?? null;
  }
}

const SPACE = /[ \t\n\r]*/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids them in strings.
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const NAME = /true|false|null/y;
const DEEPEST = 200;

/** Reads a JSON text. Browsers tell the place of a fault in different ways, or not at all. */
export function readJson(text: string): JsonText {
  const places = new Map<string, Extent>();
  const fault = new Scanner(text, places).fault();
  return { value: fault === null ? (JSON.parse(text) as unknown) : undefined, fault, places };
}

/** Walks over a text; each step returns false at a fault, where `at` stays. */
class Scanner {
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly places: Map<string, Extent>,
  ) {}

  fault(): number | null {
    if (!this.value("", 0)) return this.at;
    this.take(SPACE);
    return this.at < this.text.length ? this.at : null;
  }

  private take(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    const [found] = pattern.exec(this.text) ?? [];
    this.at += found?.length ?? 0;
    return found ?? null;
  }

  private sign(sign: string): boolean {
    this.take(SPACE);
    if (this.text[this.at] !== sign) return false;
    this.at += 1;
    return true;
  }

  private value(pointer: string, depth: number): boolean {
    this.take(SPACE);
    const from = this.at;
    if (depth > DEEPEST) return false;
    const isRead = this.sign("{")
      ? this.entries("}", (index) => this.member(pointer, index, depth))
      : this.sign("[")
        ? this.entries("]", (index) => this.value(`${pointer}/${index}`, depth + 1))
        : (this.take(STRING) ?? this.take(NUMBER) ?? this.take(NAME)) !== null;
    this.places.set(pointer, { from, to: this.at });
    return isRead;
  }

  private entries(end: string, entry: (index: number) => boolean): boolean {
    if (this.sign(end)) return true;
    for (let index = 0; entry(index); index++) {
      if (this.sign(end)) return true;
      if (!this.sign(",")) return false;
    }
    return false;
  }

  private member(pointer: string, _index: number, depth: number): boolean {
    this.take(SPACE);
    const key = this.take(STRING);
    if (key === null || !this.sign(":")) return false;
    const name = (JSON.parse(key) as string).replaceAll("~", "~0").replaceAll("/", "~1");
    return this.value(`${pointer}/${name}`, depth + 1);
  }
}
