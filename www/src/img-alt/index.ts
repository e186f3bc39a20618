/**
 * `<img-alt>` writes the alternative text of the pictures in it that have none:
 *
 * ```html
 * <img-alt lang="en" context="A shop's page about a chair"><img src="chair.jpg"></img-alt>
 * ```
 *
 * Nothing is registered until `defineImgAlt(model)` is called, and no model is loaded before a picture near the visible part of the page
 * needs it.
 */
import { Engine, type LoadOptions, type ModelSource } from "../index.js";
import { Once } from "../once.js";

/** Possible faults of a text, for its reviewer. */
export type AltFlag = "short" | "long" | "cut";

/** The detail of the event `alt`. */
export interface AltDetail {
  image: HTMLImageElement;
  text: string;
  flags: AltFlag[];
}

export interface ImgAltOptions extends LoadOptions {
  /** The element's name. Default `img-alt`. */
  name?: string;
  /** Asked once before a model is loaded, for example whether the user agrees to the download. After `false` no picture gets a text. */
  consent?: () => boolean | Promise<boolean>;
}

/** Fewest characters of a text, the most that the prompt asks for, and the most that pass without a warning. */
const [SHORT, WANTED, LONG] = [10, 125, 200];
const MAX_TOKENS = 120;

/** Pictures are described before they are scrolled into view, by this share of the window's height. */
const AHEAD = "50%";

/** Registers the element, over a model or a loaded engine. Returns its class. */
export function defineImgAlt(
  model: ModelSource | Engine,
  { name = "img-alt", consent, ...options }: ImgAltOptions = {},
): CustomElementConstructor {
  const agreed = new Once(async () => (consent ? await consent() : true));
  const loaded = new Once(() => (model instanceof Engine ? Promise.resolve(model) : Engine.load(model, options)));
  const element = elementOver(async () => ((await agreed.get()) ? loaded.get() : null));
  customElements.define(name, element);
  return element;
}

/** The class of the element. `load` resolves to `null` without the user's consent. */
function elementOver(load: () => Promise<Engine | null>): CustomElementConstructor {
  return class ImgAlt extends HTMLElement {
    private left = new AbortController();
    private added: MutationObserver | null = null;
    private near: IntersectionObserver | null = null;
    /** Pictures already described or in progress. */
    private readonly known = new WeakSet<HTMLImageElement>();

    connectedCallback(): void {
      this.left = new AbortController();
      this.added = new MutationObserver(() => this.look());
      this.added.observe(this, { childList: true, subtree: true });
      this.near = new IntersectionObserver((entries) => this.describe(entries), { rootMargin: AHEAD });
      this.look();
    }

    disconnectedCallback(): void {
      this.added?.disconnect();
      this.near?.disconnect();
      this.left.abort();
    }

    private look(): void {
      // An empty text counts: it marks a decorative picture.
      for (const image of this.querySelectorAll("img")) if (!image.hasAttribute("alt") && !this.known.has(image)) this.near?.observe(image);
    }

    private describe(entries: IntersectionObserverEntry[]): void {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting || !(target instanceof HTMLImageElement)) continue;
        this.near?.unobserve(target);
        if (target.hasAttribute("alt") || this.known.has(target)) continue;
        this.known.add(target);
        void this.write(target, this.left.signal);
      }
    }

    private async write(image: HTMLImageElement, signal: AbortSignal): Promise<void> {
      try {
        await image.decode();
        const engine = await load();
        if (!engine) return;
        const detail = await altText(engine, image, this, signal);
        // The page may have set a text meanwhile.
        if (image.hasAttribute("alt")) return;
        image.alt = detail.text;
        image.dataset["alt"] = "generated";
        this.dispatchEvent(new CustomEvent<AltDetail>("alt", { bubbles: true, detail }));
      } catch (thrown) {
        this.known.delete(image);
        // The picture stays without a text.
        if (!signal.aborted) this.dispatchEvent(new CustomEvent("alterror", { bubbles: true, detail: { image, error: thrown } }));
      }
    }
  };
}

async function altText(engine: Engine, image: HTMLImageElement, element: HTMLElement, signal: AbortSignal): Promise<AltDetail> {
  const caption = image.closest("figure")?.querySelector("figcaption")?.textContent?.trim();
  const context = [element.getAttribute("context"), caption && `Its caption: ${caption}`].filter(Boolean).join(" ");
  const language = element.lang || document.documentElement.lang || "en";
  const text = [
    `Write the alternative text of this picture: one sentence in the language "${language}", at most ${WANTED} characters.`,
    "Say what it shows, with any words in it as they stand. Do not begin with the words for picture or image.",
    ...(context ? [`Where it stands: ${context}`] : []),
  ].join(" ");
  const content = [
    { type: "image_url" as const, image_url: { url: image } },
    { type: "text" as const, text },
  ];
  const request = { messages: [{ role: "user" as const, content }], temperature: 0, max_tokens: MAX_TOKENS };
  const { choices } = await engine.chat.completions.create({ ...request, stream: false }, { signal });
  const [choice] = choices;
  const said = (choice?.message.content ?? "").replace(/\s+/g, " ").trim();
  const flags: AltFlag[] = [];
  if (said.length <= SHORT) flags.push("short");
  if (said.length >= LONG) flags.push("long");
  if (choice?.finish_reason === "length") flags.push("cut");
  return { image, text: said, flags };
}
