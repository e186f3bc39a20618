/**
 * Waiting for the GPU in Firefox, which looks for finished work every 100 ms, and whenever commands are submitted
 * (https://bugzilla.mozilla.org/show_bug.cgi?id=1870699). While something waits there, empty submissions make it look.
 */

/** The part of WebGPU that is used here. */
interface Waiting {
  mapAsync(...range: number[]): Promise<undefined>;
}
export interface PumpedDevice {
  readonly queue: { submit(commands: []): void; onSubmittedWorkDone(): Promise<undefined> };
  readonly lost: Promise<unknown>;
  createBuffer(descriptor: { usage: number }): Waiting;
}

/** Milliseconds for an empty submission above which the browser must be made to look. */
const COARSE_MS = 5;
/** Milliseconds between two empty submissions. Browsers lengthen repeated short delays to 4 ms. */
const INTERVAL_MS = 1;
const MAP_READ = 1;

/** Makes the browser look for finished work of `device` while a page waits for it, if it does not do so itself. */
export async function pump(device: PumpedDevice): Promise<void> {
  const { queue } = device;
  // The first wait ends with a look of the browser, so the second lasts from one look to the next.
  await emptyMs(device);
  if ((await emptyMs(device)) <= COARSE_MS) return;
  let waits = 0;
  let isLooking = false;
  const look = (): void => {
    isLooking = waits > 0;
    if (!isLooking) return;
    queue.submit([]);
    setTimeout(look, INTERVAL_MS);
  };
  const during = <T>(work: Promise<T>): Promise<T> => {
    waits++;
    if (!isLooking) setTimeout(look, INTERVAL_MS);
    isLooking = true;
    return work.finally(() => waits--);
  };
  const { createBuffer } = device;
  const { onSubmittedWorkDone } = queue;
  queue.onSubmittedWorkDone = () => during(onSubmittedWorkDone.call(queue));
  device.createBuffer = (descriptor) => {
    const buffer = createBuffer.call(device, descriptor);
    if ((descriptor.usage & MAP_READ) === 0) return buffer;
    const { mapAsync } = buffer;
    buffer.mapAsync = (...range) => during(mapAsync.apply(buffer, range));
    return buffer;
  };
}

async function emptyMs({ queue, lost }: PumpedDevice): Promise<number> {
  const start = performance.now();
  queue.submit([]);
  await Promise.race([queue.onSubmittedWorkDone(), lost]);
  return performance.now() - start;
}
