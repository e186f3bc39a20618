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
import { altInstruction, writeAlt, type AltFlag } from "./text.js";

export type { AltFlag } from "./text.js";

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
}

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

async function altText(engine: Engine, image: HTMLImageElement, element: HTMLElement, signal: AbortSignal): Promise<AltDetail> {
  const caption = image.closest("figure")?.querySelector("figcaption")?.textContent?.trim() ?? "";
  const context = element.getAttribute("context") ?? "";
  const language = element.lang || document.documentElement.lang || "en";
  const anchor = image.closest("a");
  const link = anchor && anchor.textContent?.trim() === "" ? anchor.href : "";
  const written = writeAlt(
    altInstruction({ language, context, caption, link }),
    new URL(image.src, document.baseURI).pathname.split("/").at(-1),
  );
  let step = written.next();
  while (!step.done) {
    const { turns, maxTokens } = step.value;
    const messages = turns.map((text, index) =>
      index % 2
        ? { role: "assistant" as const, content: text }
        : {
            role: "user" as const,
            content: [...(index === 0 ? [{ type: "image_url" as const, image_url: { url: image } }] : []), { type: "text" as const, text }],
          },
    );
    const request = { messages, temperature: 0, max_tokens: maxTokens, stream: false as const };
    const [choice] = (await engine.chat.completions.create(request, { signal })).choices;
    step = written.next({ text: choice?.message.content ?? "", isCut: choice?.finish_reason === "length" });
  }
  return { image, ...step.value };
}
