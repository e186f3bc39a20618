/** Workers that compute together with the engine's worker, on the same memory. */

/** Time within which a helper has to start. A content security policy may forbid it. */
const START_MS = 10_000;

/** A helper that knows its place in the crew carries out jobs for ever. A trap of it ends the job of all. */
const SCRIPT = `
  let instance;
  onmessage = async ({ data }) => {
    if (data.module) {
      instance = await WebAssembly.instantiate(data.module, { env: { memory: data.memory } });
      return postMessage(null);
    }
    const { crew, thread, stack } = data;
    const { __stack_pointer, serve, break_off } = instance.exports;
    for (let seen = 0; ; ) {
      __stack_pointer.value = stack;
      try {
        serve(crew, seen);
      } catch {
        seen = break_off(crew, thread);
      }
    }
  };
`;

/** Starts up to so many helpers. Fewer are returned if a browser refuses. */
export async function startHelpers(count: number, module: WebAssembly.Module, memory: WebAssembly.Memory): Promise<Worker[]> {
  const url = URL.createObjectURL(new Blob([SCRIPT], { type: "text/javascript" }));
  try {
    const started = await Promise.all(Array.from({ length: count }, () => startHelper(url, module, memory).catch(() => null)));
    return started.filter((helper) => helper !== null);
  } finally {
    URL.revokeObjectURL(url);
  }
}

function startHelper(url: string, module: WebAssembly.Module, memory: WebAssembly.Memory): Promise<Worker> {
  return new Promise((resolve, reject) => {
    const helper = new Worker(url);
    const refuse = (event?: ErrorEvent) => {
      event?.preventDefault();
      helper.terminate();
      reject(new Error(event?.message ?? "a helper did not start"));
    };
    const timer = setTimeout(refuse, START_MS);
    helper.onerror = (event) => {
      clearTimeout(timer);
      refuse(event);
    };
    helper.onmessage = () => {
      clearTimeout(timer);
      resolve(helper);
    };
    helper.postMessage({ module, memory });
  });
}
