/** Cache of the blocks of a large file that are in memory or in transfer, with read-ahead for a sequential reader. */

interface Block {
  bytes: Promise<Uint8Array<ArrayBuffer>>;
  abort: AbortController;
  /** Number of reads that wait for it. */
  waiting: number;
  lastUse: number;
}

export interface BlockSource {
  size: number;
  blockBytes: number;
  /** Blocks to fetch ahead of a sequential reader. */
  readAhead: number;
  fetch(start: number, end: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
}

export class BlockCache {
  private readonly blocks = new Map<number, Block>();
  /** Indices of the last blocks read, to detect a sequential reader. */
  private readonly recent: number[] = [];
  private uses = 0;

  constructor(private readonly source: BlockSource) {}

  async read(start: number, end: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const { blockBytes } = this.source;
    const bytes = new Uint8Array(end - start);
    if (bytes.length === 0) return bytes;
    const last = Math.floor((end - 1) / blockBytes);
    for (let index = Math.floor(start / blockBytes); index <= last; index++) {
      const block = this.block(index);
      this.fetchAhead(index, last);
      this.evict();
      const content = await this.waitFor(block, signal);
      const blockStart = index * blockBytes;
      const from = Math.max(0, start - blockStart);
      bytes.set(content.subarray(from, end - blockStart), blockStart + from - start);
    }
    return bytes;
  }

  /** Aborts all requests and drops all blocks. */
  clear(): void {
    for (const index of [...this.blocks.keys()]) this.drop(index);
  }

  /** The block from the cache, or a new one that is being fetched. */
  private block(index: number): Block {
    let block = this.blocks.get(index);
    if (!block) {
      const { blockBytes, size } = this.source;
      const abort = new AbortController();
      const start = index * blockBytes;
      const bytes = this.source.fetch(start, Math.min(size, start + blockBytes), abort.signal);
      block = { bytes, abort, waiting: 0, lastUse: 0 };
      const added = block;
      // A block that failed is dropped, so that the next reader fetches it again.
      bytes.catch(() => this.blocks.get(index) === added && this.blocks.delete(index));
      this.blocks.set(index, block);
    }
    block.lastUse = this.uses++;
    return block;
  }

  /** Fetches the rest of this read, and beyond it as many blocks as were just read in sequence. */
  private fetchAhead(index: number, last: number): void {
    const { readAhead, blockBytes, size } = this.source;
    let sequential = 0;
    while (this.recent.includes(index - sequential - 1)) sequential++;
    const end = Math.ceil(size / blockBytes);
    for (let ahead = index + 1; ahead < end && ahead <= index + readAhead; ahead++) {
      if (ahead <= last || ahead - index <= sequential) this.block(ahead);
    }
    if (this.recent.includes(index)) return;
    this.recent.push(index);
    if (this.recent.length > 2 * readAhead + 1) this.recent.shift();
  }

  /** Keeps the blocks ahead, the one being read and the one before it: few reads end at the end of a block. */
  private evict(): void {
    const idle = [...this.blocks].filter(([, { waiting }]) => waiting === 0);
    idle.sort(([, one], [, other]) => one.lastUse - other.lastUse);
    for (const [index] of idle.slice(0, Math.max(0, this.blocks.size - this.source.readAhead - 2))) this.drop(index);
  }

  private async waitFor(block: Block, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    let stop: () => void = () => undefined;
    const aborted = new Promise<never>((_, reject) => {
      stop = () => reject(signal.reason);
      signal.addEventListener("abort", stop);
    });
    block.waiting++;
    try {
      signal.throwIfAborted();
      return await Promise.race([block.bytes, aborted]);
    } finally {
      signal.removeEventListener("abort", stop);
      block.waiting--;
      if (signal.aborted) this.dropIdle();
    }
  }

  /** Stops read-ahead after an aborted read. */
  private dropIdle(): void {
    for (const [index, { waiting }] of [...this.blocks]) if (waiting === 0) this.drop(index);
  }

  private drop(index: number): void {
    this.blocks.get(index)?.abort.abort();
    this.blocks.delete(index);
  }
}
