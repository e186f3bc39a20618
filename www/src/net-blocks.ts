/** The blocks of a big file that are at hand or under way; fetches ahead of a reader that goes forward. */

interface Block {
  bytes: Promise<Uint8Array<ArrayBuffer>>;
  stop: AbortController;
  /** Readers that wait for it. */
  waiting: number;
  lastUse: number;
}

export interface BlockSource {
  size: number;
  blockBytes: number;
  /** Blocks that may be under way or waiting ahead of a reader. */
  readAhead: number;
  fetch(start: number, end: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
}

export class BlockCache {
  private readonly blocks = new Map<number, Block>();
  /** The last blocks that were read, which tell whether a reader goes forward. */
  private readonly trail: number[] = [];
  private uses = 0;

  constructor(private readonly source: BlockSource) {}

  async read(start: number, end: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const { blockBytes } = this.source;
    const bytes = new Uint8Array(end - start);
    if (bytes.length === 0) return bytes;
    const last = Math.floor((end - 1) / blockBytes);
    for (let index = Math.floor(start / blockBytes); index <= last; index++) {
      const block = this.want(index);
      this.fetchAhead(index, last);
      this.makeRoom();
      const got = await this.wait(block, signal);
      const blockStart = index * blockBytes;
      const from = Math.max(0, start - blockStart);
      bytes.set(got.subarray(from, end - blockStart), blockStart + from - start);
    }
    return bytes;
  }

  /** Ends what is under way and forgets the rest. */
  clear(): void {
    for (const index of [...this.blocks.keys()]) this.drop(index);
  }

  private want(index: number): Block {
    let block = this.blocks.get(index);
    if (!block) {
      const { blockBytes, size } = this.source;
      const stop = new AbortController();
      const start = index * blockBytes;
      const bytes = this.source.fetch(start, Math.min(size, start + blockBytes), stop.signal);
      block = { bytes, stop, waiting: 0, lastUse: 0 };
      const failed = block;
      // The next reader tries anew.
      bytes.catch(() => this.blocks.get(index) === failed && this.blocks.delete(index));
      this.blocks.set(index, block);
    }
    block.lastUse = this.uses++;
    return block;
  }

  /** What this read needs next, and as much beyond it as was already read in a row. */
  private fetchAhead(index: number, last: number): void {
    const { readAhead, blockBytes, size } = this.source;
    let run = 0;
    while (this.trail.includes(index - run - 1)) run++;
    const end = Math.ceil(size / blockBytes);
    for (let ahead = index + 1; ahead < end && ahead <= index + readAhead; ahead++) {
      if (ahead <= last || ahead - index <= run) this.want(ahead);
    }
    if (this.trail.includes(index)) return;
    this.trail.push(index);
    if (this.trail.length > 2 * readAhead + 1) this.trail.shift();
  }

  /** Beside the blocks ahead one that is being read and one before it: reads seldom end with a block. */
  private makeRoom(): void {
    const idle = [...this.blocks].filter(([, { waiting }]) => waiting === 0);
    idle.sort(([, one], [, other]) => one.lastUse - other.lastUse);
    for (const [index] of idle.slice(0, Math.max(0, this.blocks.size - this.source.readAhead - 2))) this.drop(index);
  }

  private async wait(block: Block, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    let stop: () => void = () => undefined;
    const stopped = new Promise<never>((_, reject) => {
      stop = () => reject(signal.reason);
      signal.addEventListener("abort", stop);
    });
    block.waiting++;
    try {
      signal.throwIfAborted();
      return await Promise.race([block.bytes, stopped]);
    } finally {
      signal.removeEventListener("abort", stop);
      block.waiting--;
      if (signal.aborted) this.quieten();
    }
  }

  /** A reader that gives up needs nothing read ahead. */
  private quieten(): void {
    for (const [index, { waiting }] of [...this.blocks]) if (waiting === 0) this.drop(index);
  }

  private drop(index: number): void {
    this.blocks.get(index)?.stop.abort();
    this.blocks.delete(index);
  }
}
