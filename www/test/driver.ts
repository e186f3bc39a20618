/** A small interface over two browsers, so that each test is written once and runs in both. */
import { after, before, describe } from "node:test";
import { chromium, type BrowserContext } from "playwright-core";
import puppeteer, { type BrowserContext as FirefoxContext, type LaunchOptions } from "puppeteer-core";

/** A page in its own profile, without stored data of other tests. */
export interface Tab {
  goto(url: string): Promise<void>;
  /** Runs `act` in the page. It is sent as source text, so that it can use nothing of this process but `argument`. */
  run<Result, Argument = undefined>(act: (argument: Argument) => Result | Promise<Result>, argument?: Argument): Promise<Result>;
  /** Runs `act` in every document that this tab opens from now on, before the document's own scripts. */
  beforeLoad(act: () => void): Promise<void>;
  click(selector: string): Promise<void>;
  /** Types into the focused element. */
  type(text: string): Promise<void>;
  press(key: Key): Promise<void>;
  /** Presses the mouse at a point of the window, moves it to another one, and lets go. */
  drag(from: Point, to: Point): Promise<void>;
  viewport(width: number, height: number): Promise<void>;
  /** Emulates a preference of the user; Firefox knows none. */
  media?(features: { colorScheme?: "light" | "dark"; forcedColors?: "active" | "none" }): Promise<void>;
  /** Processor time of the page's main thread while `act` runs; Firefox does not tell it. */
  work?(act: () => Promise<void>): Promise<Work>;
  /** Bytes of the page's JavaScript heap after a garbage collection; Firefox does not tell them. */
  heap?(): Promise<number>;
  /** A screenshot of the whole page. */
  screenshot(path: string): Promise<void>;
  /** A screenshot of the window as it is. */
  view(path: string): Promise<void>;
  /** Uncaught exceptions and violations of the content security policy so far. */
  faults: string[];
  /** Addresses of all requests so far, also of its workers. */
  requests: string[];
  /** Another tab of the same profile; it is closed with the first one. */
  another(): Promise<Tab>;
  /** Closes this tab alone. */
  closeAlone(): Promise<void>;
  /** Kills its process; Firefox, where tabs share processes, leaves the page instead. */
  kill(): Promise<void>;
  close(): Promise<void>;
}

/** Processor times of a main thread, in milliseconds. */
export interface Work {
  /** Time of each task. */
  tasks: number[];
  /** Time from each frame to the next one, all tasks of which are counted. */
  frames: number[];
  /** Sums of all scripts, all layouts, and all calculations of styles. */
  script: number;
  layout: number;
  styles: number;
}

/** Keys, with those that are held meanwhile. */
export type Key =
  | "Enter"
  | "Escape"
  | "Tab"
  | "Shift+Tab"
  | "Shift+Enter"
  | "Control+Enter"
  | `${"" | "Shift+" | "Alt+"}Arrow${"Left" | "Right" | "Up" | "Down"}`;

/** In CSS pixels. */
export interface Point {
  x: number;
  y: number;
}

export interface TestBrowser {
  name: string;
  newTab(): Promise<Tab>;
  close(): Promise<void>;
}

/** Starts a browser whose tabs share `profile`, a folder that is kept when the browser ends. */
export async function launchWith(profile: string, name: string): Promise<TestBrowser> {
  if (name === "Firefox") {
    const browser = await puppeteer.launch({ ...firefoxOptions(), userDataDir: profile });
    return { name, close: () => browser.close(), newTab: () => firefoxTabOf(browser.defaultBrowserContext()) };
  }
  const context = await chromium.launchPersistentContext(profile, { ...chromiumOptions(), timeout: 1000 * HANG_SECONDS });
  return { name, close: () => context.close(), newTab: () => chromiumTabOf(context) };
}

/**
 * Registers the tests of `define` for Chromium and Firefox, or for the one that `OCELLI_BROWSER` names. They fail if the browser does not
 * start.
 */
export function inBrowsers(subject: string, define: (browser: () => TestBrowser) => void): void {
  const only = process.env["OCELLI_BROWSER"];
  for (const [name, launch] of Object.entries({ Chromium: launchChromium, Firefox: launchFirefox })) {
    if (only !== undefined && only !== name) continue;
    describe(`${subject}, ${name}`, () => {
      let browser: TestBrowser;
      before(async () => {
        browser = await launch();
      });
      define(() => browser);
      // Registered last, so that the tests' own hooks close their tabs first.
      after(() => browser?.close());
    });
  }
}

/** Time limit after which a test counts as hanging. Even a busy machine needs only a small part of it. */
const HANG_SECONDS = 300;

/** Waits until `condition` is true in the page. While a document is being replaced it counts as false. */
export async function until<Argument = undefined>(
  tab: Tab,
  what: string,
  condition: (argument: Argument) => unknown,
  argument?: Argument,
  seconds = HANG_SECONDS,
): Promise<void> {
  const deadline = Date.now() + 1000 * seconds;
  let cause: unknown;
  const holds = () =>
    tab.run(condition, argument).catch((thrown: unknown) => {
      cause = thrown;
      return false;
    });
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s: ${what}`, { cause });
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** With WebGPU on SwiftShader. */
export function chromiumOptions(): { executablePath: string; args: string[] } {
  return {
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--enable-unsafe-webgpu",
      "--use-webgpu-adapter=swiftshader",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      // A camera that shows a test pattern, and that every page may use.
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
    ],
  };
}

async function launchChromium(): Promise<TestBrowser> {
  const browser = await chromium.launch({ ...chromiumOptions(), timeout: 1000 * HANG_SECONDS });
  const newTab = async () => chromiumTabOf(await browser.newContext({ ignoreHTTPSErrors: true }));
  return { name: "Chromium", close: () => browser.close(), newTab };
}

async function chromiumTabOf(context: BrowserContext): Promise<Tab> {
  const page = await context.newPage();
  page.setDefaultTimeout(1000 * HANG_SECONDS);
  const [faults, requests]: [string[], string[]] = [[], []];
  context.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => isFault(message.text()) && faults.push(message.text()));
  return {
    faults,
    requests,
    goto: async (url) => void (await page.goto(url)),
    run: (act, argument) => page.evaluate(act as never, argument as never),
    beforeLoad: async (act) => void (await page.addInitScript(act)),
    click: (selector) => page.click(selector),
    type: (text) => page.keyboard.type(text),
    press: (key) => page.keyboard.press(key),
    drag: (from, to) => drag(page.mouse, from, to),
    async viewport(width, height) {
      await page.setViewportSize({ width, height });
      await page.evaluate(drawn);
    },
    media: (features) => page.emulateMedia(features),
    async work(act) {
      const session = await context.newCDPSession(page);
      await session.send("Performance.enable", { timeDomain: "threadTicks" });
      const spent = async () => {
        const { metrics } = await session.send("Performance.getMetrics");
        return (name: string) => 1000 * (metrics.find((metric) => metric.name === name)?.value ?? 0);
      };
      const browser = context.browser();
      if (!browser) throw new Error("only a browser without a profile is traced");
      await browser.startTracing(page, { categories: ["toplevel", "cc"] });
      const before = await spent();
      await act();
      const after = await spent();
      const times = timesIn(await browser.stopTracing());
      await session.detach();
      const of = (name: string) => after(name) - before(name);
      return { ...times, script: of("ScriptDuration"), layout: of("LayoutDuration"), styles: of("RecalcStyleDuration") };
    },
    async heap() {
      const session = await context.newCDPSession(page);
      await session.send("HeapProfiler.collectGarbage");
      const { usedSize } = await session.send("Runtime.getHeapUsage");
      await session.detach();
      return usedSize;
    },
    screenshot: async (path) => void (await page.screenshot({ path, fullPage: true })),
    view: async (path) => void (await page.screenshot({ path })),
    another: () => chromiumTabOf(context),
    closeAlone: () => page.close(),
    async kill() {
      const crashed = new Promise((resolve) => page.once("crash", resolve));
      const session = await context.newCDPSession(page);
      session.send("Page.crash").catch(() => undefined);
      await crashed;
    },
    close: () => context.close(),
  };
}

/** Processor times of the busiest main thread of a page in a trace: those of its tasks, and those between the starts of its frames. */
function timesIn(trace: Buffer): Pick<Work, "tasks" | "frames"> {
  interface TraceEvent {
    name: string;
    pid: number;
    tid: number;
    ts: number;
    tdur?: number;
    args: { name?: string };
  }
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: TraceEvent[] };
  const mains = traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain");
  const all = mains.map((main) => {
    const own = traceEvents.filter(({ pid, tid }) => pid === main.pid && tid === main.tid).sort((one, other) => one.ts - other.ts);
    const [tasks, frames]: [number[], number[]] = [[], []];
    for (const { name, tdur = 0 } of own) {
      // It comes after the task that it is a part of, which is thus counted to the frame before. A frame may have several such events.
      if (name === "ProxyMain::BeginMainFrame" && frames.at(-1) !== 0) frames.push(0);
      if (name !== "ThreadControllerImpl::RunTask") continue;
      tasks.push(tdur / 1000);
      if (frames.length > 0) frames.push((frames.pop() ?? 0) + tdur / 1000);
    }
    return { tasks, frames };
  });
  const sum = (all: number[]) => all.reduce((total, each) => total + each, 0);
  return all.sort((one, other) => sum(other.tasks) - sum(one.tasks))[0] ?? { tasks: [], frames: [] };
}

function firefoxOptions(): LaunchOptions {
  return {
    browser: "firefox",
    executablePath: process.env["FIREFOX"] ?? "/usr/bin/firefox-esr",
    headless: true,
    acceptInsecureCerts: true,
    timeout: 1000 * HANG_SECONDS,
    protocolTimeout: 2000 * HANG_SECONDS,
    extraPrefsFirefox: {
      "dom.webgpu.enabled": true,
      "dom.webgpu.workers.enabled": true,
      "gfx.webgpu.ignore-blocklist": true,
      "dom.webgpu.allow-software-adapter": true,
      "media.navigator.streams.fake": true,
      "media.navigator.permission.disabled": true,
    },
  };
}

async function launchFirefox(): Promise<TestBrowser> {
  const browser = await puppeteer.launch(firefoxOptions());
  return { name: "Firefox", close: () => browser.close(), newTab: async () => firefoxTabOf(await browser.createBrowserContext()) };
}

async function firefoxTabOf(context: FirefoxContext): Promise<Tab> {
  const page = await context.newPage();
  page.setDefaultTimeout(1000 * HANG_SECONDS);
  const [faults, requests]: [string[], string[]] = [[], []];
  page.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => faults.push(error instanceof Error ? error.message : String(error)));
  page.on("console", (message) => isFault(message.text()) && faults.push(message.text()));
  return {
    faults,
    requests,
    goto: async (url) => void (await page.goto(url)),
    run: (act, argument) => page.evaluate(act as never, argument as never),
    beforeLoad: async (act) => void (await page.evaluateOnNewDocument(act)),
    click: (selector) => page.click(selector),
    type: (text) => page.keyboard.type(text),
    async press(key) {
      const [held, ...rest] = key.split("+");
      if (rest.length > 0) await page.keyboard.down(held as "Shift" | "Alt" | "Control");
      await page.keyboard.press((rest[0] ?? key) as "Enter");
      if (rest.length > 0) await page.keyboard.up(held as "Shift" | "Alt" | "Control");
    },
    drag: (from, to) => drag(page.mouse, from, to),
    async viewport(width, height) {
      await page.setViewport({ width, height });
      await page.evaluate(drawn);
    },
    screenshot: async (path) => void (await page.screenshot({ path: path as `${string}.png`, fullPage: true })),
    view: async (path) => void (await page.screenshot({ path: path as `${string}.png` })),
    another: () => firefoxTabOf(context),
    closeAlone: () => page.close(),
    kill: async () => void (await page.goto("about:blank")),
    close: () => context.close(),
  };
}

/** Waits for two frames, since a page learns of its new size in a frame. A page that draws none waits for a second. */
const drawn = () =>
  new Promise<void>((resolve) => {
    setTimeout(resolve, 1000);
    requestAnimationFrame(() => requestAnimationFrame(() => resolve()));
  });

/** Both drivers have such a mouse. */
interface Mouse {
  move(x: number, y: number): Promise<void>;
  down(): Promise<void>;
  up(): Promise<void>;
}

async function drag(mouse: Mouse, from: Point, to: Point): Promise<void> {
  await mouse.move(from.x, from.y);
  await mouse.down();
  await mouse.move((from.x + to.x) / 2, (from.y + to.y) / 2);
  await mouse.move(to.x, to.y);
  await mouse.up();
}

function isFault(message: string): boolean {
  return /content.security.policy/i.test(message);
}
