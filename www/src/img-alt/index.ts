/**
 * `<img-alt>` writes the alternative text of the pictures in it that have none:
 *
 * ```html
 * <img-alt lang="en" context="A shop's page about a chair"><img src="chair.jpg"></img-alt>
 * ```
 *
 * Nothing is registered until `defineImgAlt(model)` is called, and no model is loaded before a picture needs it.
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
}

/** Fewest characters of a text, the most that the prompt asks for, and the most that pass without a warning. */
const [SHORT, WANTED, LONG] = [10, 125, 200];
const MAX_TOKENS = 120;

/** Registers the element, over a model or a loaded engine. Returns its class. */
export function defineImgAlt(model: ModelSource | Engine, { name = "img-alt", ...options }: ImgAltOptions = {}): CustomElementConstructor {
  const loaded = new Once(() => (model instanceof Engine ? Promise.resolve(model) : Engine.load(model, options)));
  const element = elementOver(() => loaded.get());
  customElements.define(name, element);
  return element;
}

function elementOver(load: () => Promise<Engine>): CustomElementConstructor {
  return class ImgAlt extends HTMLElement {
    private left = new AbortController();
    private observer: MutationObserver | null = null;
    /** Pictures already described or in progress. */
    private readonly known = new WeakSet<HTMLImageElement>();

    connectedCallback(): void {
      this.left = new AbortController();
      this.observer = new MutationObserver(() => this.look());
      this.observer.observe(this, { childList: true, subtree: true });
      this.look();
    }

    disconnectedCallback(): void {
      this.observer?.disconnect();
      this.left.abort();
    }

    private look(): void {
      for (const image of this.querySelectorAll("img")) {
        // An empty text counts: it marks a decorative picture.
        if (image.hasAttribute("alt") || this.known.has(image)) continue;
        this.known.add(image);
        void this.write(image, this.left.signal);
      }
    }

    private async write(image: HTMLImageElement, signal: AbortSignal): Promise<void> {
      try {
        await image.decode();
        const detail = await altText(await load(), image, this, signal);
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
