/** Albums, whose code and styles are loaded when they are first opened. */
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { showProblem } from "../state/problem.js";
import { words } from "../words/index.js";
import { lateWordsLoaded } from "../words/language.js";
import { loadStyles } from "./dom.js";

export function Albums() {
  const [View, setView] = useState<ComponentType | null>(null);
  useEffect(() => {
    void Promise.all([import("./albums/index.js"), loadStyles("albums.css"), lateWordsLoaded()]).then(
      ([{ AlbumsView }]) => setView(() => AlbumsView),
      showProblem,
    );
  }, []);
  return View ? <View /> : <p class="fine">{words.albums.loading}</p>;
}
