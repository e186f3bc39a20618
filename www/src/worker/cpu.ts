/** The processor as a device: a wasm module whose memory holds the buffers of a model, and helpers where that memory can be shared. */
import { ocelliError } from "../errors.js";
import { MODULES, type ModuleName, type ModuleUrls } from "../net/wasm-module.js";
import type { CpuHost } from "../wasm/ocelli.js";
import { startHelpers } from "./helpers.js";
import { canShareMemory, possibleThreads } from "./threads.js";

interface Exports {
  /** Only of a module with memory of its own. */
  memory?: WebAssembly.Memory;
  __stack_pointer: WebAssembly.Global<"i32">;
  allocate(bytes: number): number;
  release(at: number, bytes: number): void;
  assemble(threads: number): number;
  run(crew: number, words: number, count: number): number;
  break_off(crew: number, thread: number): number;
}

/** Most bytes of a buffer: more are negative numbers for the module. */
const MAX_BYTES = 2 ** 31 - 65_536;
const WORD_BYTES = 4;
/** A job without memory for its words, and a job whose kernel trapped. */
const [OUT_OF_BOUNDS, PANICKED] = [3, 4];
/** Stack of a helper, as large as that of the module. */
const STACK_BYTES = 1 << 20;
/** Pages of the module's data, and sizes to which shared memory may grow: not every system reserves 4 GiB. */
const [FIRST_PAGES, MOST_PAGES] = [32, [65_536, 32_768, 16_384]];
/** Most threads that a caller may ask for. */
const MOST_THREADS = 64;

/** A module with one instruction of relaxed SIMD. */
const RELAXED = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11,
]);

/** Helpers of the processor that was opened last. */
let helpers: Worker[] = [];

/** Ends the helpers of the processor that was opened last; it is not used any more. */
export function closeProcessor(): void {
  for (const helper of helpers) helper.terminate();
  helpers = [];
}

/** Fetches the module for this browser and opens the processor, with so many threads or as many as it has. */
export async function openProcessor(urls: ModuleUrls, wanted: number | null): Promise<CpuHost> {
  closeProcessor();
  const isWhole = wanted === null || (Number.isInteger(wanted) && wanted > 0);
  if (!isWhole) throw ocelliError("invalid-request", `threads: ${wanted} is no number of threads`, { field: "threads" });
  const isRelaxed = WebAssembly.validate(RELAXED);
  const threads = canShareMemory() ? Math.min(wanted ?? possibleThreads(), MOST_THREADS) : 1;
  const instructions = isRelaxed ? "relaxed simd128" : "simd128";
  const name: ModuleName = threads > 1 ? (isRelaxed ? "cpuRelaxedThreads" : "cpuThreads") : isRelaxed ? "cpuRelaxed" : "cpu";
  const { file, option, what } = MODULES[name];
  const url = urls[name] ?? new URL(`./wasm/${file}`, location.href).href;
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`status ${response.status}`);
    const module = await WebAssembly.compile(await response.arrayBuffer());
    if (WebAssembly.Module.imports(module).length === 0) {
      const { exports } = await WebAssembly.instantiate(module);
      return new Processor(exports as unknown as Exports, instructions, 1);
    }
    const memory = sharedMemory();
    const [{ exports }, started] = await Promise.all([
      WebAssembly.instantiate(module, { env: { memory } }),
      startHelpers(threads - 1, module, memory),
    ]);
    helpers = started;
    const processor = new Processor(exports as unknown as Exports, instructions, 1 + started.length, memory);
    for (const [index, helper] of started.entries()) helper.postMessage(processor.placeOf(index + 1));
    return processor;
  } catch (cause) {
    const detail = `the ${what} could not be loaded from ${url}; \`${option}\` says where it is: ${String(cause)}`;
    throw ocelliError("internal", detail, { detail }, cause);
  }
}

function sharedMemory(): WebAssembly.Memory {
  for (const maximum of MOST_PAGES) {
    try {
      return new WebAssembly.Memory({ initial: FIRST_PAGES, maximum, shared: true });
    } catch {
      // The next one is smaller.
    }
  }
  throw new RangeError("no address space for shared memory");
}

class Processor implements CpuHost {
  private readonly memory: WebAssembly.Memory;
  private readonly crew: number;
  private readonly sizes = new Map<number, number>();
  /** A buffer for the words of jobs. */
  private job = { at: 0, bytes: 0 };

  constructor(
    private readonly exports: Exports,
    readonly instructions: string,
    readonly threads: number,
    shared?: WebAssembly.Memory,
  ) {
    this.memory = shared ?? (exports.memory as WebAssembly.Memory);
    this.crew = exports.assemble(threads);
  }

  /** The message that gives a helper its number and the end of its stack. */
  placeOf(thread: number): { crew: number; thread: number; stack: number } {
    return { crew: this.crew, thread, stack: (this.exports.allocate(STACK_BYTES) >>> 0) + STACK_BYTES };
  }

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
    new Uint8Array(this.memory.buffer, at, bytes.length).set(bytes);
  }

  read(at: number, bytes: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, at, bytes).slice();
  }

  run(words: Uint32Array): number {
    const bytes = words.length * WORD_BYTES;
    if (bytes > this.job.bytes) {
      this.free(this.job.at);
      this.job = { at: this.alloc(2 * bytes), bytes: 2 * bytes };
    }
    if (this.job.at === 0) {
      this.job.bytes = 0;
      return OUT_OF_BOUNDS;
    }
    new Uint32Array(this.memory.buffer, this.job.at, words.length).set(words);
    const { __stack_pointer, run, break_off } = this.exports;
    const stack = __stack_pointer.value;
    try {
      return run(this.crew, this.job.at, words.length);
    } catch {
      __stack_pointer.value = stack;
      break_off(this.crew, 0);
      return PANICKED;
    }
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
