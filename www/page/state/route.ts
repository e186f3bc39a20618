/** The view that the address names. */
import { signal } from "@preact/signals-core";

/** Parts of the settings, in their order. */
export const SECTIONS = ["general", "answers", "server", "pictures", "tasks", "data", "privacy", "about"] as const;
export type Section = (typeof SECTIONS)[number];

export type Route =
  | { view: "conversation"; id: string | null }
  | { view: "models" }
  | { view: "albums"; id: string | null }
  | { view: "settings"; section: Section }
  | { view: "inbox"; isFull: boolean };

export const route = signal<Route>(parsed(location.hash));

function parsed(hash: string): Route {
  if (hash === "#/models") return { view: "models" };
  const settings = /^#\/settings(?:\/(\w+))?$/.exec(hash);
  if (settings) return { view: "settings", section: SECTIONS.find((section) => section === settings[1]) ?? "general" };
  if (/^#\/inbox(\?full)?$/.test(hash)) return { view: "inbox", isFull: hash.endsWith("?full") };
  const album = /^#\/albums(?:\/([\w-]+))?$/.exec(hash);
  if (album) return { view: "albums", id: album[1] ?? null };
  return { view: "conversation", id: /^#\/c\/([\w-]+)$/.exec(hash)?.[1] ?? null };
}

/** Follows the address, and calls `onRoute` with each view that the user opens. */
export function listenForRoutes(onRoute: (route: Route) => void): void {
  addEventListener("hashchange", () => {
    if (location.hash && !location.hash.startsWith("#/")) return;
    route.value = parsed(location.hash);
    onRoute(route.value);
  });
}

/** The address of a view. */
export function addressOf(route: Route): string {
  if (route.view === "settings") return `#/settings/${route.section}`;
  if (route.view === "inbox") return route.isFull ? "#/inbox?full" : "#/inbox";
  if (route.view === "albums") return route.id === null ? "#/albums" : `#/albums/${route.id}`;
  return route.view === "models" ? "#/models" : route.id === null ? "#/" : `#/c/${route.id}`;
}

/** Opens a view, with an entry in the browser's history. */
export function go(to: Route): void {
  route.value = to;
  location.hash = addressOf(to);
}

/** Names a view that is shown already in the address, without a new entry in the history. */
export function rename(to: Route): void {
  route.value = to;
  history.replaceState(history.state, "", addressOf(to));
}
