/** The model that a link names (`?model=`). One of another site is loaded only if the user agrees: a link may come from anybody. */
import { signal } from "@preact/signals-core";
import { packages, registry } from "../../src/index.js";
import { packageUrl } from "../../src/store/packages.js";
import { nameOf, type Choice } from "./model-choice.js";

/** A question to the user about a model of another site. */
export interface LinkedModel {
  origin: string;
  /** The known name of the model, or its address. */
  name: string;
  bytes: number | null;
  answer: (agrees: boolean) => void;
}

export const linkedModel = signal<LinkedModel | null>(null);

/** The model of the page's address; `null` if it names none, or if the user refuses. */
export async function linkedChoice(): Promise<Choice | null> {
  const model = new URLSearchParams(location.search).get("model");
  if (model === null) return null;
  // An invalid address is reported by the load.
  if (!URL.canParse(model, document.baseURI)) return { name: model, source: model };
  const { href, origin } = new URL(model, document.baseURI);
  const known = registry.find(({ source }) => Object.values(source).includes(href));
  const choice = known ? { name: nameOf(known.source), source: known.source } : { name: model, source: model };
  if (origin === location.origin) return choice;
  // The address that is requested, not the text of the link, which may say anything.
  const url = packageUrl(href);
  const bytes = known?.downloadBytes ?? (await storedBytes(url));
  return (await agrees(known?.name ?? url, origin === "null" ? url : origin, bytes)) ? choice : null;
}

/** Bytes of a package that is stored already. */
async function storedBytes(url: string): Promise<number | null> {
  const stored = await packages.list().catch(() => []);
  return stored.find((entry) => entry.url === url && entry.complete)?.bytes ?? null;
}

function agrees(name: string, origin: string, bytes: number | null): Promise<boolean> {
  return new Promise((resolve) => {
    const answer = (value: boolean) => {
      linkedModel.value = null;
      resolve(value);
    };
    linkedModel.value = { origin, name, bytes, answer };
  });
}
