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
import { Engine, type LoadOptions, type ModelSource, type PictureInput, type RequestOptions } from "../index.js";
import { Once } from "../once.js";
import { altInstruction, type AltPlace } from "./instruction.js";
import { writeAlt, type AltFlag, type AltText } from "./text.js";

export type { AltPlace } from "./instruction.js";
export type { AltFlag, AltText } from "./text.js";

/** The detail of the event `alt`. */
export interface AltDetail {
  image: HTMLImageElement;
  /** Empty for a decorative picture. */
  text: string;
  /** True if the model takes the picture for decoration: it is left without a text. */
  isDecorative: boolean;
  flags: AltFlag[];
}

export interface ImgAltOptions extends LoadOptions {
  /** The element's name. Default `img-alt`. */
  name?: string;
  /** Asked once before a model is loaded, for example whether the user agrees to the download. After `false` no picture gets a text. */
  consent?: () => boolean | Promise<boolean>;
}

/** Pictures are described before they are scrolled into view, by this share of the window's height. */
const AHEAD = "50%";

/** Registers the element, over a model or a loaded engine. Returns its class. */
export function defineImgAlt(
  model: ModelSource | Engine,
  { name = "img-alt", consent, ...options }: ImgAltOptions = {},
): CustomElementConstructor {
  const agreed = new Once(async () => (consent ? await consent() : true));
  const loaded = new Once(async () => {
    if (model instanceof Engine) return model;
    const engine = await Engine.load(model, options);
    void engine.closed.then(() => loaded.forget());
    return engine;
  });
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
        const detail = await altDetail(engine, image, this, signal);
        // The page may have set a text meanwhile.
        if (image.hasAttribute("alt")) return;
        if (!detail.isDecorative) {
          image.alt = detail.text;
          image.dataset["alt"] = "generated";
        }
        this.dispatchEvent(new CustomEvent<AltDetail>("alt", { bubbles: true, detail }));
      } catch (thrown) {
        this.known.delete(image);
        // The picture stays without a text.
        if (!signal.aborted) this.dispatchEvent(new CustomEvent("alterror", { bubbles: true, detail: { image, error: thrown } }));
      }
    }
  };
}

/** The alternative text of a picture of the page, with what stands around it. */
async function altDetail(engine: Engine, image: HTMLImageElement, element: HTMLElement, signal: AbortSignal): Promise<AltDetail> {
  const caption = image.closest("figure")?.querySelector("figcaption")?.textContent?.trim() ?? "";
  const context = element.getAttribute("context") ?? "";
  const language = element.lang || document.documentElement.lang || "en";
  const anchor = image.closest("a");
  const link = anchor && anchor.textContent?.trim() === "" ? anchor.href : "";
  const file = new URL(image.src, document.baseURI).pathname.split("/").at(-1) ?? "";
  return { image, ...(await altText(engine, image, { language, context, caption, link, file }, { signal })) };
}

/**
 * Writes the alternative text of one picture for its place. `file` is the name of its file, which is no text for it. The text is asked for once
 * more if it has no end, and once more if it is too long.
 */
export async function altText(
  engine: Engine,
  picture: PictureInput,
  { file, ...place }: AltPlace & { file?: string },
  options: RequestOptions = {},
): Promise<AltText> {
  const written = writeAlt(altInstruction(place), file);
  let step = written.next();
  while (!step.done) {
    const { turns, maxTokens } = step.value;
    const messages = turns.map((text, index) =>
      index % 2
        ? { role: "assistant" as const, content: text }
        : {
            role: "user" as const,
            content: [
              ...(index === 0 ? [{ type: "image_url" as const, image_url: { url: picture } }] : []),
              { type: "text" as const, text },
            ],
          },
    );
    const request = { messages, temperature: 0, max_tokens: maxTokens, stream: false as const };
    const [choice] = (await engine.chat.completions.create(request, options)).choices;
    step = written.next({ text: choice?.message.content ?? "", isCut: choice?.finish_reason === "length" });
  }
  return step.value;
}
