import assert from "node:assert/strict";
import { after, before, beforeEach, afterEach, test } from "node:test";
import { inBrowsers, until, type Tab } from "./driver.js";
import {
  fakePackage,
  laterVersion,
  random,
  randomBytes,
  sha256,
  startFaultServer,
  type Fault,
  type FaultServer,
  type Scenario,
} from "./fault-server.js";
import type { NetworkPage, Outcome, PackageLoad, RemoteOutcome, RemoteRead } from "./network-page.js";

/** On a busy machine a good response takes some hundreds of milliseconds. */
const QUICK = { attempts: 6, firstDelayMs: 5, maxDelayMs: 50, maxRetryAfterMs: 2500, stallMs: 1000 };

/** For tests that count requests: on a busy machine a response may take longer than `stallMs` above. */
const PATIENT = { ...QUICK, stallMs: 5000 };

/** `OCELLI_FAULT_LOADS=2000` for a long run. */
const LOADS = Number(process.env["OCELLI_FAULT_LOADS"] ?? 200);

const ANYWHERE: Fault[] = [
  "drop",
  "truncate",
  "truncate-unsized",
  "stall",
  "stall-at-once",
  "400",
  "404",
  "429",
  "429-later",
  "503-date",
  "500",
];
/** Faults that the hashes of a package detect. */
const OF_PACKAGES: Fault[] = [...ANYWHERE, "corrupt", "short", "long", "change", "ignore-range", "416"];
/** Faults that the headers of a range request show. */
const OF_RANGES: Fault[] = [...ANYWHERE, "ignore-range", "shifted-range", "short", "long", "wrong-total", "change", "416"];
/** Faults among these that are not detected if headers are missing or hidden. */
const NEED_HEADERS: Fault[] = ["shifted-range", "short", "long"];

inBrowsers("faults", (browser) => {
  let server: FaultServer;
  let tab: Tab;
  before(async () => {
    server = await startFaultServer("test/network-page.ts", 8);
  });
  beforeEach(async () => {
    tab = await browser().newTab();
    await openPage();
  });
  afterEach(() => tab?.close());
  after(() => server?.stop());

  async function openPage(): Promise<void> {
    await tab.goto(server.urls[0] as string);
    await until(tab, "the page's script has run", () => "network" in window);
  }
  const load = (job: PackageLoad): Promise<Outcome> =>
    tab.run((job) => (window as unknown as { network: NetworkPage }).network.loadPackage(job), job);
  const read = (job: RemoteRead): Promise<RemoteOutcome> =>
    tab.run((job) => (window as unknown as { network: NetworkPage }).network.readRemote(job), job);

  /** A file of 1,000,000 bytes: 16 blocks of 64 KiB, the last one shorter. */
  function bigFile(id: string, more: Parameters<FaultServer["add"]>[2] = {}) {
    const bytes = randomBytes(1_000_000, random(7));
    const scenario = server.add(id, new Map([["file", bytes]]), more);
    const at = (index: number) => `${server.urls[index]}${id}/file`;
    return { bytes, scenario, at, options: { ...PATIENT, blockBytes: 65_536 } };
  }

  test("random faults end in the correct bytes or a typed error, and never hang", async (context) => {
    const count = browser().name === "Chromium" ? LOADS : LOADS / 4;
    const network = { ...QUICK, stallMs: 3000 };
    const expected: string[][][] = [];
    const jobs: (PackageLoad | RemoteRead)[] = [];
    for (let seed = 0; seed < count; seed++) {
      const next = random(seed);
      const isPackage = seed % 2 === 0;
      const ranges = seed % 7 !== 0;
      const exposes = seed % 5 !== 0;
      const kinds = isPackage ? OF_PACKAGES : ranges && exposes ? OF_RANGES : OF_RANGES.filter((kind) => !NEED_HEADERS.includes(kind));
      const probability = [0.05, 0.2, 0.5][seed % 3] as number;
      const files = isPackage
        ? fakePackage([20_000, 150_000, 1, 70_000, 0, 30_000], next)
        : new Map([["file", randomBytes(Math.floor(300_000 * next()), next)]]);
      const fault = () => (next() < probability ? (kinds[Math.floor(kinds.length * next())] as Fault) : null);
      server.add(`${seed}`, files, { fault, ranges, exposes });
      const [first, second] = [server.urls[seed % 8], server.urls[(seed + 3) % 8]].map((url) => `${url}${seed}/`) as [string, string];
      const mirrors = seed % 4 < 2 ? [second] : [];
      jobs.push(
        isPackage
          ? { url: first, mirrors, network }
          : { urls: [first, ...mirrors].map((url) => `${url}file`), options: { ...network, blockBytes: 32_768 }, reads: 20_011 },
      );
      const hashes = [...files].filter(([name]) => name !== "model.json").map(([, bytes]) => sha256(bytes));
      // A file may have changed before it was opened.
      expected.push(isPackage ? [hashes] : [hashes, [...files].map(([, bytes]) => sha256(laterVersion(bytes)))]);
    }
    const outcomes = await tab.run((jobs) => (window as unknown as { network: NetworkPage }).network.runAll(jobs, 10, 600_000), jobs);
    let delivered = 0;
    outcomes.forEach((outcome, seed) => {
      assert.notEqual(outcome, "hangs", `load ${seed}`);
      if (outcome === "hangs") return;
      if ("error" in outcome) {
        // The manifest has no hash: a damaged one may be `invalid-package`.
        assert.ok(["io", "integrity", "invalid-package"].includes(outcome.error.code), `load ${seed}: ${JSON.stringify(outcome.error)}`);
        if (outcome.error.code === "io") assert.equal(typeof outcome.error.detail?.["fault"], "string", `load ${seed}`);
      } else {
        const hashes = "hash" in outcome ? [outcome.hash] : outcome.hashes;
        assert.ok(
          expected[seed]?.some((version) => version.join() === hashes.join()),
          `load ${seed} brought wrong bytes`,
        );
        delivered++;
      }
    });
    context.diagnostic(`${delivered} of ${count} delivered`);
    assert.ok(delivered > count / 2, `${delivered} of ${count} delivered`);
  });

  test("a package's download resumes at the first missing shard after a reload or an abort", async () => {
    const next = random(11);
    for (let round = 0; round < 6; round++) {
      const sizes = Array.from({ length: 12 }, () => 20_000 + Math.floor(20_000 * next()));
      const files = fakePackage(sizes, next);
      const lastServed = 2 + Math.floor(11 * next());
      let isHeld = true;
      const fault = () => (isHeld && scenario.requests.length > lastServed ? "stall-at-once" : null);
      const scenario: Scenario = server.add(`resumed-${round}`, files, { fault, pauseMs: 15 });
      const url = `${server.urls[0]}resumed-${round}/`;
      if (round % 2) {
        assert.ok("error" in (await load({ url, network: PATIENT, abortAfterMs: 50 + 100 * next() })));
      } else {
        await tab.run((url) => void (window as unknown as { network: NetworkPage }).network.loadPackage({ url }), url);
        while (scenario.requests.length <= lastServed) await new Promise((resolve) => setTimeout(resolve, 5));
        await openPage();
      }
      isHeld = false;
      const stored = (await listed()).find((entry) => entry.url === url)?.bytes ?? 0;
      const whole = [...files.values()].reduce((sum, { length }) => sum + length, 0);
      const manifest = files.get("model.json")?.length as number;
      scenario.bytesSent = 0;
      assertDelivered(await load({ url, network: PATIENT }), files);
      const missing = whole - stored;
      const most = missing + manifest + Math.max(...sizes);
      assert.ok(scenario.bytesSent <= most, `${scenario.bytesSent} bytes for ${missing} missing ones`);
      scenario.bytesSent = 0;
      assertDelivered(await load({ url, network: PATIENT }), files);
      assert.equal(scenario.bytesSent, manifest, "the third time everything is stored");
    }
  });

  test("a request delayed by the HTTP cache is repeated without the cache", async () => {
    const files = fakePackage([30_000, 20_000], random(17));
    server.add("held-back", files);
    const url = `${server.urls[0]}held-back/`;
    const outcome = await tab.run(
      async (job) => {
        const { fetch } = window;
        window.fetch = (input, init) => {
          if (init?.cache === "no-store") return fetch(input, init);
          return new Promise((_, reject) => init?.signal?.addEventListener("abort", () => reject(init.signal?.reason)));
        };
        const outcome = await (window as unknown as { network: NetworkPage }).network.loadPackage(job);
        window.fetch = fetch;
        return outcome;
      },
      { url, network: QUICK },
    );
    assertDelivered(outcome, files);
  });

  test("a broken body resumes at the byte it had reached", async () => {
    const files = fakePackage([400_000], random(3));
    const faults: (Fault | null)[] = ["truncate", "truncate-unsized", "stall"];
    const fault = (file: string) => (file.startsWith("shard") ? (faults.shift() ?? null) : null);
    const scenario = server.add("broken", files, { fault, lingerMs: 3000 });
    assertDelivered(await load({ url: `${server.urls[0]}broken/`, network: { ...QUICK, stallMs: 8000 } }), files);
    const asked = scenario.requests.filter(({ file }) => file.startsWith("shard")).map(({ range }) => range);
    assert.equal(asked[0], null);
    assert.deepEqual(asked.slice(1), ["bytes=200000-399999", "bytes=300000-399999", "bytes=350000-399999"]);
  });

  test("large files are hashed in helper threads if hashing blocks a thread and the page allows workers", async () => {
    const files = fakePackage([3_000_000, 2_500_000, 100_000, 4_000_000], random(13));
    const damaged = new Set(["shard-0001.bin"]);
    server.add("large", files, { fault: (file) => (damaged.delete(file) ? "corrupt" : null) });
    const url = `${server.urls[0]}large/`;
    const hasHelpers = browser().name === "Chromium";
    const { answers, started, loads } = await tab.run(
      async ({ url, hasHelpers }) => {
        const { network } = window as unknown as { network: NetworkPage };
        const PlainWorker = Worker;
        /** One report for each load. */
        const answers: number[] = [];
        let started = 0;
        let isThere: () => void = () => undefined;
        let helper: Promise<void> = Promise.resolve();
        // Reading the last shard (its second lookup) waits for a helper thread, so that at least that one is hashed by it.
        const { match } = Cache.prototype;
        let looks = 0;
        Cache.prototype.match = async function (key, ...options) {
          if (String(key).includes("shard-0003") && looks++ > 0) await helper;
          return match.call(this, key, ...options);
        };
        const withHelpers = () => {
          answers.push(0);
          looks = 0;
          if (hasHelpers) helper = new Promise((resolve) => (isThere = resolve));
          return network.loadPackage({ url });
        };
        window.Worker = class extends PlainWorker {
          constructor(url: string | URL) {
            super(url);
            started++;
            this.addEventListener("message", ({ data }) => (data ? (answers[answers.length - 1] as number)++ : isThere()));
          }
        };
        const [first, again] = [await withHelpers(), await withHelpers()];
        helper = Promise.resolve();
        window.Worker = class {
          constructor() {
            throw new DOMException("not here", "SecurityError");
          }
        } as unknown as typeof Worker;
        const refused = await network.loadPackage({ url });
        window.Worker = class extends PlainWorker {
          constructor() {
            super(URL.createObjectURL(new Blob(["throw new Error('not here')"])));
          }
        };
        const failed = await network.loadPackage({ url });
        Cache.prototype.match = match;
        return { answers, started, loads: [first, again, refused, failed] };
      },
      { url, hasHelpers },
    );
    for (const outcome of loads) assertDelivered(outcome, files);
    if (hasHelpers) for (const count of answers) assert.ok(count >= 1, `${answers} hashes by helpers`);
    else assert.equal(started, 0, "Firefox may never come back from starting one");
    const stopped = await load({ url, abortAfterMs: 5 });
    if ("error" in stopped) assert.equal(stopped.error.code, "aborted");
  });

  const MOST_ASKED: Partial<Record<Fault, number>> = { drop: 40, corrupt: 5 };

  test("mirrors replace a server that is gone, refuses, is busy for long or sends other bytes", async () => {
    const files = fakePackage(Array(12).fill(3000), random(5));
    const cases: [string, Fault][] = [
      ["gone", "drop"],
      ["refuses", "404"],
      ["busy", "429-hour"],
      ["damages", "corrupt"],
    ];
    for (const [id, fault] of cases) {
      const isShard = (file: string) => file.startsWith("shard");
      const bad = server.add(`${id}-bad`, files, { fault: (file) => (isShard(file) ? fault : null) });
      const good = server.add(`${id}-good`, files);
      const began = performance.now();
      const mirrors = [`${server.urls[1]}${id}-good/`];
      const job = { url: `${server.urls[0]}${id}-bad/`, mirrors, network: { ...PATIENT, maxRetryAfterMs: 7_200_000 } };
      assertDelivered(await load(job), files);
      // Four requests are sent before the first one fails; browsers themselves repeat requests whose connection is dropped.
      const asked = bad.requests.filter(({ file }) => isShard(file)).length;
      // A mirror that sends wrong bytes quickly must not become the preferred one again.
      assert.ok(asked <= (MOST_ASKED[fault] ?? 8), `${id}: the one that works is preferred, the other one was asked ${asked} times`);
      assert.ok(performance.now() - began < 600_000, `${id}: nobody waits for the one that does not`);
      for (const { requests } of [bad, good]) requests.length = 0;
      assertDelivered(await load(job), files);
      const again = [...bad.requests, ...good.requests].filter(({ file }) => isShard(file)).length;
      assert.equal(again, 0, `${id}: what came from a mirror is stored as well`);
    }
  });

  test("Retry-After is respected up to a limit", async () => {
    const { bytes, scenario, at, options } = bigFile("later", { fault: () => (scenario.requests.length === 1 ? "429-later" : null) });
    assertHash(await read({ urls: [at(0)], options, reads: 1_000_000 }), bytes);
    const [first, second] = scenario.requests;
    assert.ok((second?.at ?? 0) - (first?.at ?? 0) >= 990);
    scenario.requests.length = 0;
    const outcome = await read({ urls: [at(0)], options: { ...options, maxRetryAfterMs: 500 }, reads: 1_000_000 });
    assert.ok("error" in outcome);
    assert.equal(outcome.error.detail?.["fault"], "busy");
    assert.equal(outcome.error.detail?.["status"], 429);
    assert.equal(scenario.requests.length, 1);
  });

  test("a sequential reader finds the file fetched once and ahead; jumps cost a block", async () => {
    const { bytes, scenario, at, options } = bigFile("once");
    const forward = await read({ urls: [at(0)], options, reads: 10_007 });
    assertHash(forward, bytes);
    assert.equal(forward.received, bytes.length);
    assert.equal(scenario.requests.length, 16);

    const crossOrigin = await read({ urls: [at(1)], options, reads: 300_000 });
    assertHash(crossOrigin, bytes);
    assert.equal(crossOrigin.received, bytes.length);

    scenario.requests.length = 0;
    const reads: [number, number][] = [
      [100, 900],
      [900_000, 900_010],
      [65_530, 65_540],
      [1_000_000, 1_000_000],
    ];
    const jumps = await read({ urls: [at(0)], options, reads });
    assertHash(jumps, Buffer.concat(reads.map(([start, end]) => bytes.subarray(start, end))));
    // Two blocks were read in a row, so the next one is requested too, unless the reader ended before that request was sent.
    const blocks = new Set(
      scenario.requests.map(({ range }) => Math.floor(Number.parseInt(range?.slice("bytes=".length) ?? "0", 10) / options.blockBytes)),
    );
    assert.ok(blocks.size === scenario.requests.length && blocks.size <= 4, `${[...blocks]}`);
    assert.deepEqual(
      [...blocks].filter((block) => block !== 2),
      [0, 13, 1],
    );
  });

  test("files are read from a server that hides its headers from other origins", async () => {
    const { bytes, at, options } = bigFile("hidden", { exposes: false });
    const outcome = await read({ urls: [at(1)], options, reads: 100_000 });
    assertHash(outcome, bytes);
    assert.equal("ranges" in outcome && outcome.ranges, true);
  });

  test("a server that ignores Range is read as one stream, backwards within limits", async () => {
    const { bytes, scenario, at, options } = bigFile("whole", { ranges: false });
    const forward = await read({ urls: [at(0)], options, reads: 50_021 });
    assertHash(forward, bytes);
    assert.equal("ranges" in forward && forward.ranges, false);
    assert.equal(scenario.requests.length, 1);
    const reads: [number, number][] = [
      [900_000, 950_000],
      [0, 10],
    ];
    assertHash(await read({ urls: [at(0)], options, reads }), Buffer.concat(reads.map(([start, end]) => bytes.subarray(start, end))));
  });

  test("a changed file, and a mirror with another file, are detected", async () => {
    const changing = bigFile("changing", { fault: () => (changing.scenario.requests.length === 4 ? "change" : null) });
    const changed = await read({ urls: [changing.at(0)], options: changing.options, reads: 65_536 });
    assert.equal("error" in changed && changed.error.detail?.["fault"], "changed");

    const broken = bigFile("breaking", { fault: () => (broken.scenario.requests.length > 4 ? "500" : null) });
    const { bytes, at } = bigFile("breaking-other", { etag: '"other"' });
    const other = await read({ urls: [broken.at(0), at(0)], options: broken.options, reads: 65_536 });
    assert.equal("error" in other && other.error.detail?.["fault"], "busy");
    assert.match(("error" in other && other.error.message) || "", /its ETag is "other"/);
    server.scenarios.set("breaking-other", { ...bigFile("same").scenario });
    assertHash(await read({ urls: [broken.at(0), at(0)], options: broken.options, reads: 65_536 }), bytes);
  });

  test("an aborted read ends at once, and its read-ahead too", async () => {
    const { scenario, at, options } = bigFile("aborted", { fault: () => (scenario.requests.length > 3 ? "stall" : null) });
    const reading = read({ urls: [at(0)], options: { ...options, stallMs: 3_600_000 }, reads: 65_536 });
    // The fourth response stalls.
    while (scenario.requests.length < 4) await new Promise((resolve) => setTimeout(resolve, 5));
    const began = performance.now();
    await tab.run(() => (window as unknown as { network: NetworkPage }).network.abortReads());
    const outcome = await reading;
    assert.ok("error" in outcome);
    assert.ok(performance.now() - began < 600_000);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const asked = scenario.requests.length;
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(scenario.requests.length, asked);
  });

  test("an invalid URL, a missing server and a missing file give different errors", async () => {
    const failure = async (urls: string[]) => {
      const outcome = await read({ urls, options: { ...QUICK, attempts: 2 }, reads: 1000 });
      return "error" in outcome
        ? { code: outcome.error.code, fault: outcome.error.detail?.["fault"], status: outcome.error.detail?.["status"] }
        : outcome;
    };
    assert.deepEqual(await failure([]), { code: "io", fault: undefined, status: null });
    assert.deepEqual(await failure(["http://localhost:9/file"]), { code: "io", fault: "unreachable", status: null });
    assert.deepEqual(await failure([`${server.urls[0]}nowhere/file`]), { code: "io", fault: "refused", status: 404 });
  });

  function listed() {
    return tab.run(() => (window as unknown as { network: NetworkPage }).network.packages.list());
  }
});

function assertDelivered(outcome: Outcome, files: ReadonlyMap<string, Uint8Array>): void {
  const hashes = [...files].filter(([name]) => name !== "model.json").map(([, bytes]) => sha256(bytes));
  assert.deepEqual("hashes" in outcome ? outcome.hashes : outcome.error, hashes);
}

function assertHash(outcome: RemoteOutcome, bytes: Uint8Array): void {
  assert.deepEqual("hash" in outcome ? outcome.hash : outcome.error, sha256(bytes));
}
