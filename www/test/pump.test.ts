/** Waiting for the GPU in a browser that looks for finished work only every 100 ms and when commands are submitted. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { pump } from "../src/worker/pump.js";

/** A device whose work takes `workMs`, and which looks for finished work when commands are submitted and every `lookMs`. */
class FakeDevice {
  submissions = 0;
  readonly lost = new Promise<never>(() => undefined);
  private waiting: { ready: number; resolve: (nothing: undefined) => void }[] = [];
  private timer: NodeJS.Timeout;
  readonly queue = {
    submit: () => {
      this.submissions++;
      this.look();
    },
    onSubmittedWorkDone: () => this.done(0),
  };

  constructor(
    lookMs: number,
    private readonly workMs: number,
  ) {
    this.timer = setInterval(() => this.look(), lookMs);
  }

  createBuffer(_: { usage: number }) {
    return { mapAsync: () => this.done(this.workMs) };
  }

  destroy(): void {
    clearInterval(this.timer);
  }

  private done(ms: number): Promise<undefined> {
    return new Promise((resolve) => this.waiting.push({ ready: performance.now() + ms, resolve }));
  }

  private look(): void {
    const now = performance.now();
    const finished = this.waiting.filter(({ ready }) => ready <= now);
    this.waiting = this.waiting.filter(({ ready }) => ready > now);
    for (const { resolve } of finished) resolve(undefined);
  }
}

async function mapMs(device: FakeDevice): Promise<number> {
  const start = performance.now();
  await device.createBuffer({ usage: 1 }).mapAsync();
  return performance.now() - start;
}

test("a browser that looks for finished work every 100 ms is made to look while a page waits, and only then", async () => {
  const device = new FakeDevice(100, 10);
  const before = await mapMs(device);
  await pump(device);
  const times = [await mapMs(device), await mapMs(device), await mapMs(device)];
  await Promise.all([device.queue.onSubmittedWorkDone(), mapMs(device)]);
  await sleep(10);
  const after = device.submissions;
  await sleep(50);
  device.destroy();
  assert.ok(before > 10 && Math.min(...times) < 60, `${before}, then ${times}`);
  assert.ok(after > 5, `${after} submissions`);
  assert.equal(device.submissions, after, "submissions while nothing waits");
});

test("other browsers are left alone", async () => {
  // Work is finished at once, without a timer that a busy machine could delay.
  let submissions = 0;
  const onSubmittedWorkDone = () => Promise.resolve(undefined);
  const device = {
    queue: { submit: () => void submissions++, onSubmittedWorkDone },
    lost: new Promise<never>(() => undefined),
    createBuffer: (_: { usage: number }) => ({ mapAsync: () => sleep(10, undefined) }),
  };
  await pump(device);
  assert.equal(device.queue.onSubmittedWorkDone, onSubmittedWorkDone);
  await device.createBuffer({ usage: 1 }).mapAsync();
  assert.equal(submissions, 2);
});
