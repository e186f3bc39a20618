/** Pictures of a tab: their bytes, and the alternative texts that they lack. Functions with the prefix `page` run in the tab, as text. */
import { dataUrl } from "./model.js";

/**
 * The bytes of a picture as a `data:` address: read by the page itself, else by the extension if it may read all sites, else cut from the screen
 * (`isCut`).
 */
export async function read({ tabId, windowId, frameId = 0, url }) {
  const own = await inPage({ tabId, frameId }, pageRead, [url]);
  if (own) return { picture: own, isCut: false };
  const file = await fetch(url, { credentials: "omit" })
    .then((response) => (response.ok ? response.blob() : null))
    .catch(() => null);
  if (file?.type.startsWith("image/")) return { picture: await dataUrl(file), isCut: false };
  if (frameId !== 0) throw new Error("The site of this picture does not let it be read.");
  return { picture: await cut(tabId, windowId, url), isCut: true };
}

/** The visible part of a picture on the screen, after it has been scrolled into view. */
async function cut(tabId, windowId, url) {
  const place = await inPage({ tabId }, pageShow, [url]);
  if (!place) throw new Error("The page does not show this picture.");
  try {
    const screen = await createImageBitmap(await (await fetch(await chrome.tabs.captureVisibleTab(windowId, { format: "png" }))).blob());
    const scale = screen.width / place.window.width;
    const [left, top] = [Math.max(0, place.left), Math.max(0, place.top)];
    const width = Math.round((Math.min(place.right, place.window.width) - left) * scale);
    const height = Math.round((Math.min(place.bottom, place.window.height) - top) * scale);
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext("2d").drawImage(screen, Math.round(-left * scale), Math.round(-top * scale));
    return await dataUrl(await canvas.convertToBlob());
  } finally {
    await inPage({ tabId }, pageScroll, [place.scrolled]);
  }
}

/** Pictures without an `alt` in all frames that the extension may read, each with its place, nearest to the visible part first. */
export async function missing(tabId) {
  const frames = await chrome.scripting.executeScript({ target: { tabId, allFrames: true }, func: pageMissing });
  return frames.flatMap(({ frameId, result }) => (result ?? []).map((picture) => ({ ...picture, frameId })));
}

/** The place of one picture. */
export const placeOf = ({ tabId, frameId = 0, url }) => inPage({ tabId, frameId }, pagePlace, [url]);

/** Sets the text of a picture that has none, or with `replace` in any case. Returns how many pictures have it now. */
export const put = ({ tabId, frameId = 0, url }, text, replace = false) => inPage({ tabId, frameId }, pagePut, [url, text, replace]);

async function inPage({ tabId, frameId = 0 }, func, args) {
  const [{ result }] = await chrome.scripting.executeScript({ target: { tabId, frameIds: [frameId] }, func, args });
  return result;
}

async function pageRead(url) {
  try {
    const response = await fetch(url);
    const file = await response.blob();
    if (!response.ok || !file.type.startsWith("image/")) return null;
    return await new Promise((resolve) => {
      const reader = new FileReader();
      reader.onloadend = () => resolve(reader.result);
      reader.readAsDataURL(file);
    });
  } catch {
    return null;
  }
}

async function pageShow(url) {
  const image = [...document.images].find(({ currentSrc }) => currentSrc === url);
  if (!image) return null;
  const scrolled = [scrollX, scrollY];
  image.scrollIntoView({ behavior: "instant", block: "center" });
  // A picture that does not load is not described by the sign that stands for it.
  if (
    !(await image.decode().then(
      () => true,
      () => false,
    ))
  )
    return null;
  // Two frames later the screen shows it.
  for (let frame = 0; frame < 2; frame++) await new Promise((resolve) => requestAnimationFrame(resolve));
  const { left, top, right, bottom } = image.getBoundingClientRect();
  return { left, top, right, bottom, scrolled, window: { width: innerWidth, height: innerHeight } };
}

function pageScroll([left, top]) {
  scrollTo({ left, top, behavior: "instant" });
}

function pageMissing() {
  /** Distance in pixels from the visible part. */
  const away = ({ top, bottom }) => Math.max(0, -bottom, top - innerHeight);
  const boxes = new Map([...document.images].map((image) => [image, image.getBoundingClientRect()]));
  // An empty text says that a picture is decorative.
  const found = [...boxes].filter(
    ([image, { width, height }]) => !image.hasAttribute("alt") && image.currentSrc && width >= 48 && height >= 48,
  );
  found.sort(([, one], [, other]) => away(one) - away(other));
  return [...new Set(found.map(([{ currentSrc }]) => currentSrc))].map((url) => ({ url }));
}

function pagePlace(url) {
  const image = [...document.images].find(({ currentSrc }) => currentSrc === url);
  const link = image?.closest("a");
  return {
    language: image?.closest("[lang]")?.lang || "en",
    context: document.title,
    caption: image?.closest("figure")?.querySelector("figcaption")?.textContent.trim() ?? "",
    link: link && link.textContent.trim() === "" ? link.href : "",
    file: /^https?:/.test(url) ? new URL(url).pathname.split("/").at(-1) : "",
  };
}

function pagePut(url, text, replace) {
  const images = [...document.images].filter((image) => image.currentSrc === url && (replace || !image.hasAttribute("alt")));
  for (const image of images) Object.assign(image, { alt: text }).dataset.alt = "generated";
  return images.length;
}
