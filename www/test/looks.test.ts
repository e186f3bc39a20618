/** Pictures of cameras, screens and videos, and parts of pictures: the pixels that the model gets, and the ways that fail. */
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { between, inWhole, moved, resized, turnedPart, withNumber } from "../page/pictures/parts.js";
import type { PartOf } from "../page/store/schema.js";
import { ask, drop, nextAnswer, openPage } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { dropTurned, HEIGHT, QUARTERS, WIDTH } from "./pictures-in-page.js";
import { startSite, type Site } from "./site.js";

const near = (one: object, other: object) => {
  for (const [name, value] of Object.entries(one))
    assert.ok(Math.abs(value - Number((other as Record<string, number>)[name])) < 1e-9, JSON.stringify([one, other]));
};

test("a place in a turned part is where it was in the whole picture", () => {
  for (const turn of [0, 90, 180, 270] as const) {
    const part = { x: 0.25, y: 0.5, width: 0.5, height: 0.25 };
    const from: PartOf = { id: "", part, turn };
    const whole = { x: 0.1, y: 0.2, width: 0.3, height: 0.05 };
    // From the whole picture into the part, and back.
    const seen = turnedPart(whole, turn);
    const inPart = {
      x: (seen.x - part.x) / part.width,
      y: (seen.y - part.y) / part.height,
      width: seen.width / part.width,
      height: seen.height / part.height,
    };
    near(inWhole(inPart, from), whole);
    near(turnedPart(turnedPart(whole, turn), ((360 - turn) % 360) as PartOf["turn"]), whole);
  }
});

test("a frame stays in the picture whatever is done to it", () => {
  let random = 11;
  const next = () => (random = (random * 48_271) % 2_147_483_647) / 2_147_483_647;
  let part = { x: 0, y: 0, width: 1, height: 1 };
  const handles = ["nw", "n", "ne", "e", "se", "s", "sw", "w"] as const;
  for (let count = 0; count < 5000; count++) {
    const [dx, dy] = [3 * next() - 1.5, 3 * next() - 1.5];
    const handle = handles[Math.floor(8 * next())] ?? "n";
    const name = (["x", "y", "width", "height"] as const)[Math.floor(4 * next())] ?? "x";
    const acts = [
      () => moved(part, dx, dy),
      () => resized(part, handle, dx, dy),
      () => withNumber(part, name, dx),
      () => between({ x: dx, y: dy }, { x: next(), y: -dy }),
    ];
    part = (acts[count % acts.length] as () => typeof part)();
    const { x, y, width, height } = part;
    assert.ok(
      x >= 0 && y >= 0 && width >= 0.0099 && height >= 0.0099 && x + width <= 1 + 1e-9 && y + height <= 1 + 1e-9,
      JSON.stringify(part),
    );
  }
});

/** Runs before the page: notes the streams of cameras and screens. */
function noteStreams(): void {
  const streams: MediaStream[] = [];
  const unplugs: (() => void)[] = [];
  Object.assign(window, { streams, unplugs });
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  // Documents before the page are not secure.
  if (!devices) return;
  const real = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async (wanted) => {
    const { cameraFault } = window as { cameraFault?: string };
    if (cameraFault) throw new DOMException("no", cameraFault);
    const stream = await real(wanted);
    streams.push(stream);
    const [track] = stream.getVideoTracks();
    if (!track) return stream;
    const listen = track.addEventListener.bind(track);
    // Firefox does not let a page send events to a track.
    track.addEventListener = (kind: string, listener: EventListenerOrEventListenerObject) => {
      if (kind === "ended" && typeof listener === "function") unplugs.push(() => listener(new Event("ended")));
      listen(kind, listener);
    };
    return stream;
  };
  devices.getDisplayMedia = async () => {
    const { refusesScreen } = window as { refusesScreen?: boolean };
    if (refusesScreen) throw new DOMException("no", "NotAllowedError");
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [320, 200];
    const context = canvas.getContext("2d");
    const draw = () => {
      if (!context) return;
      context.fillStyle = "rgb(10, 120, 240)";
      context.fillRect(0, 0, 320, 200);
    };
    draw();
    setInterval(draw, 50);
    const stream = canvas.captureStream(20);
    streams.push(stream);
    return stream;
  };
}

interface TestWindow {
  streams: MediaStream[];
  unplugs: (() => void)[];
  sent: Blob[][];
}

const shown = (tab: Tab, selector: string) =>
  until(tab, `${selector} is shown`, (selector) => document.querySelector(selector) !== null, selector);
const gone = (tab: Tab, selector: string) =>
  until(tab, `${selector} is gone`, (selector) => document.querySelector(selector) === null, selector);
const click = (tab: Tab, selector: string) => tab.run((selector) => document.querySelector<HTMLElement>(selector)?.click(), selector);
/** Pictures that were sent last: their sizes, and the colours at the middle of their quarters. */
const sentLast = (tab: Tab) =>
  tab.run(async () => {
    const seen = [];
    for (const blob of (window as unknown as TestWindow).sent.at(-1) ?? []) {
      const bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
      const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
      context?.drawImage(bitmap, 0, 0);
      const at = (x: number, y: number) =>
        [...(context?.getImageData(Math.floor(x * bitmap.width), Math.floor(y * bitmap.height), 1, 1).data ?? [])].slice(0, 3);
      const colours = [at(0.25, 0.25), at(0.75, 0.25), at(0.25, 0.75), at(0.75, 0.75)];
      seen.push({ type: blob.type, width: bitmap.width, height: bitmap.height, colours });
    }
    return seen;
  });
const isLive = (tab: Tab) =>
  tab.run(() =>
    (window as unknown as TestWindow).streams.some((stream) => stream.getTracks().some(({ readyState }) => readyState === "live")),
  );

inBrowsers("pictures that are taken", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
  });
  beforeEach(async () => {
    tab = await browser().newTab();
    await tab.beforeLoad(fakeWorker);
    await tab.beforeLoad(noteStreams);
    await openPage(tab, `${site.url}?model=models/other/`);
    await tab.click("#describe-at-once");
  });
  afterEach(async () => {
    assert.deepEqual(tab.faults, []);
    await tab?.close();
  });
  after(() => site?.stop());

  test("a picture of the camera reaches the model, and the camera is switched off", async () => {
    await tab.click("#camera");
    await until(tab, "the camera shows a picture", () => (document.querySelector<HTMLVideoElement>("#camera-live")?.videoWidth ?? 0) > 0);
    await click(tab, "#camera-take");
    await shown(tab, "#camera-use");
    await click(tab, "#camera-again");
    await until(tab, "it shows a picture again", () => (document.querySelector<HTMLVideoElement>("#camera-live")?.videoWidth ?? 0) > 0);
    await click(tab, "#camera-take");
    await shown(tab, "#camera-use");
    await click(tab, "#camera-use");
    await shown(tab, "#tray img");
    assert.equal(await isLive(tab), false);
    await ask(tab, "echo");
    await nextAnswer(tab);
    const [picture] = await sentLast(tab);
    assert.ok(picture && picture.width > 100 && picture.height > 100 && picture.type === "image/png", JSON.stringify(picture));
  });

  test("a camera that is denied, missing or unplugged is told, and can be started again", async () => {
    const told = (words: RegExp) =>
      until(tab, String(words), (words) => new RegExp(words).test(document.querySelector("#camera-told")?.textContent ?? ""), words.source);
    const faults = {
      NotAllowedError: /does not let this page use the camera/,
      NotFoundError: /No camera was found/,
      NotReadableError: /Another program/,
    };
    for (const [name, words] of Object.entries(faults)) {
      await tab.run((cameraFault) => void Object.assign(window, { cameraFault }), name);
      await tab.click("#camera");
      await told(words);
      await tab.press("Escape");
      await gone(tab, "#camera-dialog");
    }
    await tab.run(() => void Object.assign(window, { cameraFault: undefined }));
    await tab.click("#camera");
    await shown(tab, "#camera-live");
    await tab.run(() => (window as unknown as TestWindow).unplugs.at(-1)?.());
    await told(/not there any more/);
    await click(tab, "#camera-restart");
    await shown(tab, "#camera-live");
    await tab.run(() => dispatchEvent(new Event("pagehide")));
    assert.equal(await isLive(tab), false, "it is off when the page is left");
    await tab.press("Escape");
  });

  test("one picture of the screen is taken, and a refusal is silent", async () => {
    await tab.run(() => void Object.assign(window, { refusesScreen: true }));
    await tab.click("#screenshot");
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal(
      await tab.run(() => document.querySelector("#tray img") ?? document.getElementById("problem")?.dataset["code"] ?? null),
      null,
    );
    await tab.run(() => void Object.assign(window, { refusesScreen: false }));
    await tab.click("#screenshot");
    await shown(tab, "#tray img");
    assert.equal(await isLive(tab), false);
    await ask(tab, "echo");
    await nextAnswer(tab);
    const [picture] = await sentLast(tab);
    assert.deepEqual([picture?.width, picture?.height], [320, 200]);
    for (const [red = 0, green = 0, blue = 0] of picture?.colours ?? []) {
      assert.ok(Math.abs(red - 10) < 8 && Math.abs(green - 120) < 8 && Math.abs(blue - 240) < 8, `${red} ${green} ${blue}`);
    }
  });

  test("a frame of a video is taken where the slider is", async () => {
    const isMade = await tab.run(async () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [160, 120];
      const context = canvas.getContext("2d");
      // Red until 2 s after the recording has begun, which may take a while.
      let begun = Infinity;
      const draw = () => {
        if (!context) return;
        context.fillStyle = performance.now() - begun < 2000 ? "red" : "blue";
        context.fillRect(0, 0, 160, 120);
      };
      draw();
      const timer = setInterval(draw, 30);
      const recorder = new MediaRecorder(canvas.captureStream(30), { mimeType: "video/webm" });
      const parts: Blob[] = [];
      recorder.ondataavailable = ({ data }) => parts.push(data);
      const started = new Promise((resolve) => (recorder.onstart = resolve));
      recorder.start();
      await started;
      begun = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 3500));
      recorder.stop();
      await new Promise((resolve) => (recorder.onstop = resolve));
      clearInterval(timer);
      const transfer = new DataTransfer();
      transfer.items.add(new File(parts, "film.webm", { type: "video/webm" }));
      document.getElementById("drop")?.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
      return parts.length > 0;
    });
    assert.ok(isMade);
    await until(tab, "the video is there", () => document.querySelector<HTMLButtonElement>("#video-take")?.disabled === false);
    const colourAt = async (seconds: number, before: number) => {
      await tab.run((seconds) => {
        const slider = document.querySelector<HTMLInputElement>("#video-position");
        if (!slider) return;
        // A recorded stream does not tell its length.
        slider.max = "10";
        slider.value = String(seconds);
        slider.dispatchEvent(new Event("input", { bubbles: true }));
      }, seconds);
      await until(tab, "the frame is there", () => document.querySelector<HTMLVideoElement>("#video-dialog video")?.seeking === false);
      await new Promise((resolve) => setTimeout(resolve, 300));
      await click(tab, "#video-take");
      await shown(tab, "#tray img");
      await ask(tab, "echo");
      await nextAnswer(tab, before);
      return (await sentLast(tab))[0]?.colours[0] ?? [];
    };
    const [red = 0, , blue = 0] = await colourAt(0.4, 0);
    assert.ok(red > 180 && blue < 80, `${red} ${blue}`);
  });

  test("a picture that the browser cannot read is named, with a way out", async () => {
    await drop(tab, { text: "\u0000\u0000\u0000\u0018ftypheic", name: "photo.heic" });
    await until(tab, "it is told", () => /cannot read HEIC pictures/.test(document.querySelector("#tray")?.textContent ?? ""));
  });
});

inBrowsers("parts of pictures", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
    await tab.beforeLoad(fakeWorker);
    await openPage(tab, `${site.url}?model=models/other/`);
    await tab.click("#describe-at-once");
  });
  beforeEach(async () => {
    // One that a failed test has left open.
    await tab.run(() => document.querySelector<HTMLDialogElement>("dialog[open]")?.close());
    await tab.click("#new-conversation");
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  const RGB: Record<string, number[]> = { red: [255, 0, 0], lime: [0, 255, 0], blue: [0, 0, 255], yellow: [255, 255, 0] };

  async function openViewer(orientation: number): Promise<void> {
    await dropTurned(tab, orientation, `turned-${orientation}.jpg`);
    await shown(tab, "#tray button.picture");
    await click(tab, "#tray button.picture");
    await shown(tab, "#picture-dialog[open] #picture-frame");
  }

  async function number(name: string, value: number): Promise<void> {
    await tab.run(
      ({ name, value }) => {
        const field = document.querySelector<HTMLInputElement>(`#frame-${name}`);
        if (!field) return;
        field.value = String(value);
        field.dispatchEvent(new Event("change", { bubbles: true }));
      },
      { name, value },
    );
  }

  /** Takes the part, asks about it, and checks size and colours of what was sent. */
  async function assertSent(size: [number, number], colours: readonly string[]): Promise<void> {
    await gone(tab, "#picture-dialog");
    await until(tab, "the part is in the tray", () => document.querySelectorAll("#tray img").length === 2);
    await click(tab, "#tray .remove");
    await ask(tab, "echo");
    await nextAnswer(tab);
    const [picture, ...others] = await sentLast(tab);
    assert.deepEqual([picture?.width, picture?.height, others.length], [...size, 0]);
    for (const [index, colour] of colours.entries()) {
      const [wanted, seen] = [RGB[colour] ?? [], picture?.colours[index] ?? []];
      assert.ok(
        wanted.every((value, channel) => Math.abs(value - (seen[channel] ?? 0)) < 40),
        `${index}: ${colour}, not ${seen}`,
      );
    }
  }

  for (let orientation = 1; orientation <= 8; orientation++) {
    test(`the pixels of a part are those of the upright picture with EXIF orientation ${orientation}`, async () => {
      await openViewer(orientation);
      for (const [name, value] of Object.entries({ width: 50, height: 50, left: 50, top: 0 })) await number(name, value);
      await click(tab, "#picture-take");
      await assertSent([WIDTH / 2, HEIGHT / 2], ["lime", "lime", "lime", "lime"]);
    });
  }

  test("a turned picture is sent turned", async () => {
    const [upperLeft, upperRight, lowerLeft, lowerRight] = QUARTERS;
    await openViewer(6);
    await click(tab, "#picture-turn");
    await click(tab, "#picture-take");
    await assertSent([HEIGHT, WIDTH], [lowerLeft, upperLeft, lowerRight, upperRight]);
  });

  test("the frame works by keys", async () => {
    await openViewer(1);
    await tab.run(() => document.getElementById("picture-frame")?.focus());
    // 50 % narrower and lower, then 50 % down.
    for (let count = 0; count < 50; count++) await tab.press("Alt+ArrowLeft");
    for (let count = 0; count < 50; count++) await tab.press("Alt+ArrowUp");
    for (let count = 0; count < 5; count++) await tab.press("Shift+ArrowDown");
    for (let count = 0; count < 3; count++) await tab.press("ArrowRight");
    for (let count = 0; count < 3; count++) await tab.press("ArrowLeft");
    const numbers = await tab.run(() =>
      ["left", "top", "width", "height"].map((name) => document.querySelector<HTMLInputElement>(`#frame-${name}`)?.value),
    );
    assert.deepEqual(numbers, ["0", "50", "50", "50"]);
    await tab.press("Enter");
    await assertSent([WIDTH / 2, HEIGHT / 2], ["blue", "blue", "blue", "blue"]);
  });

  test("the frame works by pointer: drawn, resized by its handles, moved", async () => {
    await openViewer(1);
    const sheet = () =>
      tab.run(() => {
        document.querySelector(".frame-layer")?.scrollIntoView({ block: "center" });
        const { left, top, width, height } = document.querySelector(".frame-layer")?.getBoundingClientRect() ?? new DOMRect();
        return { left, top, width, height };
      });
    const { left, top, width, height } = await sheet();
    const at = (x: number, y: number) => ({ x: left + x * width, y: top + y * height });
    const drags = [
      { what: "a new frame", from: at(0.1, 0.1), to: at(0.4, 0.4), wanted: [10, 10, 30, 30] },
      { what: "its lower right corner", from: at(0.4, 0.4), to: at(0.5, 0.5), wanted: [10, 10, 40, 40] },
      { what: "its left side", from: at(0.1, 0.3), to: at(0.2, 0.3), wanted: [20, 10, 30, 40] },
      { what: "the whole frame", from: at(0.35, 0.3), to: at(0.65, 0.7), wanted: [50, 50, 30, 40] },
    ];
    for (const { what, from, to, wanted } of drags) {
      await tab.drag(from, to);
      const part = await tab.run(() =>
        ["left", "top", "width", "height"].map((name) => Number(document.querySelector<HTMLInputElement>(`#frame-${name}`)?.value)),
      );
      for (const [index, value] of wanted.entries()) assert.ok(Math.abs((part[index] ?? 0) - value) <= 1.6, `${what}: ${part.join()}`);
    }
    for (const [name, value] of Object.entries({ left: 50, top: 50, width: 50, height: 50 })) await number(name, value);
    await click(tab, "#picture-take");
    await assertSent([WIDTH / 2, HEIGHT / 2], ["yellow", "yellow", "yellow", "yellow"]);
  });

  test("a large part has at most 4 megapixels, and shows where it was", async () => {
    await drop(tab, { from: "test/huge.png", name: "huge.png" });
    await shown(tab, "#tray button.picture");
    await click(tab, "#tray button.picture");
    await shown(tab, "#picture-dialog[open] #picture-frame");
    await number("width", 60);
    await click(tab, "#picture-take");
    await gone(tab, "#picture-dialog");
    await until(tab, "the part is in the tray", () => document.querySelectorAll("#tray img").length === 2);
    await click(tab, "#tray .remove");
    await click(tab, "#tray button.picture");
    await shown(tab, "#picture-original");
    await click(tab, "#picture-original");
    await until(tab, "the whole is shown", () => document.querySelector<HTMLInputElement>("#frame-width")?.value === "60");
    await tab.press("Escape");
    await ask(tab, "echo");
    await nextAnswer(tab);
    const [picture] = await sentLast(tab);
    assert.ok(picture && picture.width * picture.height <= 4e6 && picture.width * picture.height > 3.9e6, JSON.stringify(picture));
    assert.deepEqual(tab.faults, []);
  });
});
