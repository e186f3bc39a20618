/** The processor as a device: a wasm module whose memory holds the buffers of a model. */
import { ocelliError } from "../errors.js";
import { MODULES } from "../net/wasm-module.js";
import type { CpuHost } from "../wasm/ocelli.js";

interface Exports {
  memory: WebAssembly.Memory;
  allocate(bytes: number): number;
  release(at: number, bytes: number): void;
  run(words: number, count: number): number;
}

/** Most bytes of a buffer: more are negative numbers for the module. */
const MAX_BYTES = 2 ** 31 - 65_536;
const WORD_BYTES = 4;

/** Fetches the module and opens the processor. */
export async function openProcessor(given: string | null): Promise<CpuHost> {
  const { file, option, what } = MODULES.cpu;
  const url = given ?? new URL(`./wasm/${file}`, location.href).href;
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`status ${response.status}`);
    const { instance } = await WebAssembly.instantiate(await response.arrayBuffer());
    return new Processor(instance.exports as unknown as Exports);
  } catch (cause) {
    const detail = `the ${what} could not be loaded from ${url}; \`${option}\` says where it is: ${String(cause)}`;
    throw ocelliError("internal", detail, { detail }, cause);
  }
}

class Processor implements CpuHost {
  readonly instructions = "simd128";
  readonly threads = 1;
  private readonly sizes = new Map<number, number>();
  /** A buffer for the words of jobs. */
  private job = { at: 0, bytes: 0 };

  constructor(private readonly exports: Exports) {}

  alloc(bytes: number): number {
    const at = bytes <= MAX_BYTES ? this.exports.allocate(bytes) >>> 0 : 0;
    if (at > 0) this.sizes.set(at, bytes);
    return at;
  }

  free(at: number): void {
    const bytes = this.sizes.get(at);
    if (bytes === undefined) return;
    this.sizes.delete(at);
    this.exports.release(at, bytes);
  }

  write(at: number, bytes: Uint8Array): void {
    new Uint8Array(this.exports.memory.buffer, at, bytes.length).set(bytes);
  }

  read(at: number, bytes: number): Uint8Array {
    return new Uint8Array(this.exports.memory.buffer, at, bytes).slice();
  }

  run(words: Uint32Array): number {
    const bytes = words.length * WORD_BYTES;
    if (bytes > this.job.bytes) {
      this.free(this.job.at);
      this.job = { at: this.alloc(2 * bytes), bytes: 2 * bytes };
    }
    if (this.job.at === 0) {
      this.job.bytes = 0;
      return 3;
    }
    new Uint32Array(this.exports.memory.buffer, this.job.at, words.length).set(words);
    return this.exports.run(this.job.at, words.length);
  }

  giveWay(): Promise<void> {
    // Not a timer, which browsers delay.
    return new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(null);
    });
  }
}
