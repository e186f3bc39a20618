/** Albums that are being written, wherever the user is, and those that an earlier visit has begun. */
import { useEffect } from "preact/hooks";
import { activities, type Activity } from "../state/album-activity.js";
import { pauseAlbum, startAlbum } from "../state/album-start.js";
import { addressOf, route } from "../state/route.js";
import { words } from "../words/index.js";

type Badged = Navigator & { setAppBadge?: (count: number) => Promise<void>; clearAppBadge?: () => Promise<void> };

export function AlbumStrip() {
  const all = activities.value;
  const running = all.find(({ state }) => state === "running" || state === "held");
  useEffect(() => {
    document.title = running ? words.albums.tabTitle(running.done, running.total, running.title) : words.title;
    const { setAppBadge, clearAppBadge } = navigator as Badged;
    const told = running ? setAppBadge?.call(navigator, running.total - running.done) : clearAppBadge?.call(navigator);
    told?.catch(() => undefined);
  }, [running]);
  // The open album tells its own state.
  const at = route.value;
  const others = all.filter(({ album }) => at.view !== "albums" || at.id !== album);
  return (
    <ul class="notices" id="album-strip" aria-label={words.albums.label} hidden={others.length === 0}>
      {others.map((activity) => (
        <Row key={activity.album} {...activity} />
      ))}
    </ul>
  );
}

function Row({ album, title, state, done, total }: Activity) {
  const text = words.albums.begun(title, done, total);
  const isRunning = state === "running" || state === "held" || state === "model";
  const act = isRunning ? words.albums.pause : words.albums.resume;
  return (
    <li class="notice">
      <p>
        <a href={addressOf({ view: "albums", id: album })} dir="auto">
          {text}
        </a>{" "}
        {words.albums.states[state]}
      </p>
      <progress aria-label={text} max={total} value={done} />
      {state !== "elsewhere" && (
        <button
          type="button"
          aria-label={words.albums.of(act, title)}
          onClick={() => void (isRunning ? pauseAlbum(album) : startAlbum(album))}
        >
          {act}
        </button>
      )}
    </li>
  );
}
