/**
 * Counts, in the engine's worker, parts that are taken of shards in memory and reads of stored files, and tells them with the sizes of wasm
 * memories to the `BroadcastChannel` "meter" when asked. Runs as text before the worker's code, so that it uses nothing outside itself.
 */
export function meter() {
  const SHARD = { least: 2 ** 20, most: 2 ** 25 };
  const parts = { count: 0, bytes: 0 };
  const reads = { count: 0, bytes: 0, milliseconds: 0 };
  const memories = new Set();

  const { subarray } = Uint8Array.prototype;
  Uint8Array.prototype.subarray = function (begin, end) {
    const part = subarray.call(this, begin, end);
    const isWhole = this.byteLength === this.buffer.byteLength && this.byteLength >= SHARD.least && this.byteLength <= SHARD.most;
    if (isWhole && ![...memories].some(({ buffer }) => buffer === this.buffer)) {
      parts.count += 1;
      parts.bytes += part.byteLength;
    }
    return part;
  };

  const { arrayBuffer } = Blob.prototype;
  Blob.prototype.arrayBuffer = async function () {
    const started = performance.now();
    const bytes = await arrayBuffer.call(this);
    reads.count += 1;
    reads.bytes += bytes.byteLength;
    reads.milliseconds += performance.now() - started;
    return bytes;
  };

  const keep = (memory) => memory && memories.add(memory);
  WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct(target, given) {
      const memory = new target(...given);
      keep(memory);
      return memory;
    },
  });
  for (const name of ["instantiate", "instantiateStreaming"]) {
    const instantiate = WebAssembly[name];
    WebAssembly[name] = async (...given) => {
      const made = await instantiate.apply(WebAssembly, given);
      keep((made.instance ?? made).exports.memory);
      return made;
    };
  }

  const channel = new BroadcastChannel("meter");
  channel.addEventListener("message", ({ data }) => {
    if (data === "tell") channel.postMessage({ parts, reads, memories: [...memories].map(({ buffer }) => buffer.byteLength) });
  });
}
