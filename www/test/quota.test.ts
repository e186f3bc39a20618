import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakePackage, random, sha256, startFaultServer, type Fault, type FaultServer, type Scenario } from "./fault-server.js";
import type { NetworkPage, Outcome, PackageLoad } from "./network-page.js";

const SIZES = [30_000, 50_000, 20_000];

inBrowsers("stored packages", (browser) => {
  let server: FaultServer;
  let tab: Tab;
  let files: Map<string, Uint8Array>;
  let url: string;
  before(async () => {
    server = await startFaultServer("test/network-page.ts");
    url = `${server.urls[0]}package/`;
  });
  beforeEach(async () => {
    files = fakePackage(SIZES, random(1));
    server.add("package", files);
    tab = await browser().newTab();
    await tab.goto(server.urls[0] as string);
    await until(tab, "the page's script has run", () => "network" in window);
  });
  afterEach(() => tab?.close());
  after(() => server?.stop());

  const load = (job: PackageLoad): Promise<Outcome> =>
    tab.run((job) => (window as unknown as { network: NetworkPage }).network.loadPackage(job), job);
  const list = () => tab.run(() => (window as unknown as { network: NetworkPage }).network.packages.list());
  const asked = () => server.scenarios.get("package")?.requests.map(({ file }) => file) ?? [];
  const warnings = ({ reports }: Outcome) => reports.filter((report) => report.kind === "warning");

  test("a package runs from memory with one warning after any write fails for lack of room", async () => {
    for (let failing = 0; failing < files.size; failing++) {
      await tab.run(async (failing) => {
        await caches.delete("ocelli-packages-v1");
        const { put } = Cache.prototype;
        let writes = 0;
        Object.assign(window, { restore: () => (Cache.prototype.put = put) });
        Cache.prototype.put = function (...args) {
          if (writes++ < failing) return put.apply(this, args);
          return Promise.reject(new DOMException("full", "QuotaExceededError"));
        };
      }, failing);
      const outcome = await load({ url });
      assertDelivered(outcome);
      assert.deepEqual(
        warnings(outcome).map((warning) => "code" in warning && warning.code),
        ["storage-full"],
      );
      const [stored] = await list();
      assert.equal(stored?.complete ?? false, false);

      const required = await load({ url, storage: "require" });
      assert.equal("error" in required && required.error.code, "storage-full");

      await tab.run(() => (window as unknown as { restore(): void }).restore());
      const again = await load({ url });
      assertDelivered(again);
      assert.deepEqual(warnings(again), []);
      assert.equal((await list())[0]?.complete, true);
    }
  });

  test("a package that does not fit is detected before its first byte", async () => {
    await tab.run(() => {
      navigator.storage.estimate = async () => ({ quota: 150_000, usage: 60_000 });
    });
    const wanted = SIZES.reduce((sum, size) => sum + size, 500);
    const required = await load({ url, storage: "require" });
    assert.ok("error" in required);
    assert.equal(required.error.code, "storage-full");
    assert.deepEqual(required.error.detail, { wanted, free: 90_000 });
    assert.deepEqual(asked(), ["model.json"]);

    const preferred = await load({ url });
    assertDelivered(preferred);
    const [warning, ...more] = warnings(preferred);
    assert.ok(warning?.kind === "warning" && more.length === 0);
    assert.deepEqual(warning.detail, { wanted, free: 90_000 });
    assert.match(warning.message, /101 kB.*90\.0 kB/);
    assert.equal((await list())[0]?.bytes, files.get("model.json")?.length, "nothing but the manifest was stored");

    await tab.run(() => {
      navigator.storage.estimate = async () => ({ quota: 170_000, usage: 60_000 });
    });
    assert.deepEqual(warnings(await load({ url })), []);
    assert.equal((await list())[0]?.complete, true);
  });

  test("everything works from memory without storage, and required storage fails at once", async () => {
    await tab.run(() => {
      CacheStorage.prototype.open = () => Promise.reject(new DOMException("no", "SecurityError"));
      CacheStorage.prototype.has = () => Promise.reject(new DOMException("no", "SecurityError"));
    });
    const outcome = await load({ url });
    assertDelivered(outcome);
    assert.deepEqual(
      warnings(outcome).map((warning) => "code" in warning && warning.code),
      ["storage-unavailable"],
    );
    const required = await load({ url, storage: "require" });
    assert.equal("error" in required && required.error.code, "storage-unavailable");
    assert.deepEqual(await list(), []);
  });

  test("complete and incomplete stored packages are listed with their sizes and can be deleted", async () => {
    const whole = [...files.values()].reduce((sum, { length }) => sum + length, 0);
    assert.deepEqual(await list(), []);
    await load({ url });
    const other = fakePackage([10_000, 40_000], random(2));
    server.add("other", other, { fault: (file) => (file === "shard-0001.bin" ? "404" : null) });
    const otherUrl = `${server.urls[0]}other/`;
    await load({ url: otherUrl });
    const stored = (await list()).sort((one, two) => two.bytes - one.bytes);
    const otherBytes = [...other.values()].reduce((sum, { length }) => sum + length, 0) - 40_000;
    assert.deepEqual(stored, [
      { url, name: "Fake", bytes: whole, complete: true },
      { url: otherUrl, name: "Fake", bytes: otherBytes, complete: false },
    ]);
    const page = (url: string) =>
      tab.run(async (url) => {
        const { packages } = (window as unknown as { network: NetworkPage }).network;
        return { size: await packages.size(), deleted: await packages.delete(url), again: await packages.delete(url) };
      }, url);
    assert.deepEqual(await page(otherUrl), { size: whole + otherBytes, deleted: true, again: false });
    assert.deepEqual(
      (await list()).map(({ url }) => url),
      [url],
    );
    server.scenarios.get("package")?.requests.splice(0);
    assertDelivered(await load({ url }));
    assert.deepEqual(asked(), ["model.json"], "the other package's files are still there");
  });

  test("a stored address with an invalid percent sign is listed like any other", async () => {
    const odd = fakePackage([1000], random(3));
    server.add("100%", new Map([...odd].map(([name, bytes]) => [`model%/${name}`, bytes])));
    const url = `${server.urls[0]}100%/model%/`;
    await load({ url });
    assert.deepEqual(
      (await list()).map(({ url, name, complete }) => ({ url, name, complete })),
      [{ url, name: "Fake", complete: true }],
    );
  });

  test("a new version replaces the old one, and keeps packages in folders below", async () => {
    const below = fakePackage([1000], random(4));
    for (const [name, bytes] of below) files.set(`below/${name}`, bytes);
    await load({ url: `${url}below/` });
    await load({ url });
    const newer = fakePackage(SIZES, random(9));
    server.add("package", newer);
    assertDelivered(await load({ url }), newer);
    const sizes = new Map((await list()).map((stored) => [stored.url, stored]));
    assert.equal(
      sizes.get(url)?.bytes,
      [...newer.values()].reduce((sum, { length }) => sum + length, 0),
    );
    assert.equal(sizes.get(`${url}below/`)?.complete, true);
  });

  /** A server's new version, of which some files fail. */
  const offer = (fault: (file: string) => Fault | null, bytes: Map<string, Uint8Array>) => server.add("package", bytes, { fault });
  const QUICK = { attempts: 2, firstDelayMs: 5, stallMs: 2000 };
  const codes = (outcome: Outcome) => warnings(outcome).map((warning) => "code" in warning && warning.code);

  test("a stored package stays in use, with a warning, until all of its new version is stored", async () => {
    await load({ url });
    const newer = fakePackage(SIZES, random(9));
    const page = new TextEncoder().encode("<!doctype html><title>Log in to the network</title>");
    offer(() => null, new Map([["model.json", page]]));
    const captive = await load({ url, network: QUICK });
    assertDelivered(captive);
    assert.deepEqual(codes(captive), ["update-failed"]);

    for (const fault of ["drop", "404", "corrupt"] as const) {
      offer((file) => (file === "shard-0001.bin" ? fault : null), newer);
      const interrupted = await load({ url, network: QUICK });
      assertDelivered(interrupted);
      assert.deepEqual(codes(interrupted), ["update-failed"], fault);
      assert.equal((await list())[0]?.complete, true);
    }

    offer(() => null, newer);
    await tab.run(() => {
      const { put } = Cache.prototype;
      Object.assign(window, { restore: () => (Cache.prototype.put = put) });
      Cache.prototype.put = () => Promise.reject(new DOMException("full", "QuotaExceededError"));
    });
    for (const storage of ["prefer", "require"] as const) {
      const full = await load({ url, storage, network: QUICK });
      assertDelivered(full);
      assert.deepEqual(codes(full), ["update-failed"], storage);
    }
    await tab.run(() => (window as unknown as { restore(): void }).restore());
    const whole = [...files.values()].reduce((sum, { length }) => sum + length, 0);
    assert.deepEqual(await list(), [{ url, name: "Fake", bytes: whole, complete: true }], "nothing is left of the new version");

    const updated = await load({ url, network: QUICK });
    assertDelivered(updated, newer);
    assert.deepEqual(warnings(updated), []);
    const last = updated.reports.filter((report) => report.kind === "progress").at(-1);
    assert.ok(last?.kind === "progress" && last.loaded === last.total && last.total > 0);
  });

  test("a server that refuses a request does not end the use of a stored package, unless it says that the package is gone", async () => {
    await load({ url });
    for (const status of ["400", "500"] as const) {
      offer(() => status, files);
      const refused = await load({ url, network: QUICK });
      assertDelivered(refused);
      assert.deepEqual(codes(refused), status === "400" ? ["update-failed"] : [], status);
    }
    offer(() => "404", files);
    const gone = await load({ url, network: QUICK });
    assert.equal("error" in gone && gone.error.code, "io");
  });

  test("without room for both versions the old one stays until it is deleted", async () => {
    await load({ url });
    const newer = fakePackage([60_000, 50_000, 20_000], random(9));
    offer(() => null, newer);
    await tab.run(() => {
      navigator.storage.estimate = async () => ({ quota: 40_000, usage: 0 });
    });
    const kept = await load({ url });
    assertDelivered(kept);
    assert.deepEqual(codes(kept), ["update-failed"]);
    assert.equal((await list())[0]?.complete, true);
    await tab.run(async (url) => {
      await (window as unknown as { network: NetworkPage }).network.packages.delete(url);
      navigator.storage.estimate = async () => ({ quota: 400_000, usage: 0 });
    }, url);
    assertDelivered(await load({ url }), newer);
  });

  test("a stored version is not deleted for a new one that would not fit without the files that both share", async () => {
    const grown = new Map(files);
    const added = fakePackage([60_000], random(9)).get("shard-0000.bin") as Uint8Array;
    const manifest = JSON.parse(new TextDecoder().decode(files.get("model.json")));
    manifest.shards.push({ file: "added.bin", bytes: added.length, sha256: sha256(added) });
    grown.set("added.bin", added).set("model.json", new TextEncoder().encode(JSON.stringify(manifest)));
    await load({ url });
    await tab.run(() => {
      navigator.storage.estimate = async () => ({ quota: 10_000, usage: 0 });
    });
    offer(() => null, grown);
    const kept = await load({ url });
    assertDelivered(kept);
    assert.deepEqual(codes(kept), ["update-failed"]);
    assert.equal((await list())[0]?.complete, true);
  });

  test("the manifest comes from the package's own address and has the expected hash", async () => {
    const other = fakePackage(SIZES, random(5));
    server.add("mirror", other);
    const mirrors = [`${server.urls[0]}mirror/`];
    const base64 = (bytes: Uint8Array | undefined) => `sha256-${Buffer.from(sha256(bytes as Uint8Array), "hex").toString("base64")}`;
    const integrity = base64(files.get("model.json"));
    offer((file) => (file === "model.json" ? "404" : null), files);
    const missing = await load({ url, mirrors, network: QUICK });
    assert.equal("error" in missing && missing.error.code, "io");

    offer(() => null, other);
    const wrong = await load({ url, integrity });
    assert.equal("error" in wrong && wrong.error.code, "integrity");
    assert.deepEqual(await list(), [], "nothing of it is stored");

    offer(() => null, files);
    assertDelivered(await load({ url, integrity }));
    offer(() => null, other);
    assertDelivered(await load({ url, integrity }));
    assert.deepEqual(asked(), [], "a stored manifest with the hash needs no request");
    const changed = await load({ url, integrity: base64(other.get("model.json")) });
    assertDelivered(changed, other);
    const invalid = await load({ url, integrity: "md5-abc" });
    assert.equal("error" in invalid && invalid.error.code, "invalid-request");
  });

  test("requests carry no cookies and no referrer unless credentials are allowed", async () => {
    await tab.run(() => {
      // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API is not in every browser.
      document.cookie = "secret=1";
    });
    const seen: (string | undefined)[] = [];
    const scenario = server.scenarios.get("package") as Scenario;
    scenario.fault = (_, { headers }) => {
      seen.push(headers.cookie, headers.referer);
      return null;
    };
    assertDelivered(await load({ url }));
    assert.deepEqual(new Set(seen), new Set([undefined]));
    seen.length = 0;
    await load({ url, network: { credentials: "same-origin" } });
    assert.deepEqual(seen, ["secret=1", undefined]);
  });

  test("an imported package is in the same store and is loaded without a request", async () => {
    for (const isFull of [false, true]) {
      const outcome = await tab.run(
        async ({ files, isFull }) => {
          const { PackageFolder, importedUrl, loadPackage, sha256 } = (window as unknown as { network: NetworkPage }).network;
          await caches.delete("ocelli-packages-v1");
          const problems: string[] = [];
          const folder = await PackageFolder.open(importedUrl("a/b"), {
            keepInMemory: true,
            onProblem: (problem) => problems.push(problem),
          });
          let writes = 0;
          const { put } = Cache.prototype;
          Cache.prototype.put = function (...args) {
            if (!isFull || writes++ < 2) return put.apply(this, args);
            return Promise.reject(new DOMException("full", "QuotaExceededError"));
          };
          const early = await loadPackage({ url: folder.url });
          const decode = (text: string) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          for (const [name, text] of files) {
            const bytes = decode(text);
            if (!(await folder.put(name, bytes, name === "model.json" ? undefined : await sha256(bytes)))) throw new Error(name);
          }
          const whole = await loadPackage({ url: folder.url });
          Cache.prototype.put = put;
          const bytes = decode(files.find(([name]) => name === "shard-0002.bin")?.[1] as string);
          const key = await sha256(bytes);
          bytes[5] = (bytes[5] as number) ^ 1;
          await folder.put("shard-0002.bin", bytes, key);
          const damaged = await loadPackage({ url: folder.url });
          await folder.deleteOthers([]);
          const gone = await loadPackage({ url: folder.url });
          return { early, whole, damaged, gone, problems };
        },
        { files: [...files].map(([name, bytes]) => [name, Buffer.from(bytes).toString("base64")] as [string, string]), isFull },
      );
      const { early, whole, damaged, gone, problems } = outcome;
      assert.equal("error" in early && early.error.code, "io");
      assertDelivered(whole);
      if (!isFull) assert.equal("error" in damaged && damaged.error.code, "integrity");
      assert.equal("error" in gone && gone.error.code, "io");
      assert.deepEqual(problems, isFull ? ["storage-full"] : []);
    }
    assert.deepEqual(asked(), []);
  });

  test("persistent storage can be requested", async () => {
    const persistent = await tab.run(async () => {
      const { packages } = (window as unknown as { network: NetworkPage }).network;
      StorageManager.prototype.persisted = async () => false;
      StorageManager.prototype.persist = async () => true;
      return packages.requestPersistence();
    });
    assert.equal(persistent, true);
  });

  function assertDelivered(outcome: Outcome, delivered: ReadonlyMap<string, Uint8Array> = files): void {
    const hashes = [...delivered].filter(([name]) => name !== "model.json" && !name.includes("/")).map(([, bytes]) => sha256(bytes));
    assert.deepEqual("hashes" in outcome ? outcome.hashes : outcome.error, hashes);
  }
});
