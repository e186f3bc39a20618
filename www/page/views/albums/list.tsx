/** The list of albums. */
import { useEffect, useState } from "preact/hooks";
import { thumbnailOf } from "../../state/album-files.js";
import { albums, counts, isListed } from "../../state/albums.js";
import { rows } from "../../state/kept.js";
import { addressOf } from "../../state/route.js";
import { continuesAlbums, keepsScreenOn } from "../../state/settings.js";
import type { Album } from "../../store/schema.js";
import { albumWords } from "../../words/albums.js";
import { Switch } from "./parts.js";

/** Pictures on a card. */
const PICTURES = 4;

export function List({ onMake }: { onMake: () => void }) {
  useEffect(() => document.getElementById("albums-heading")?.focus(), []);
  return (
    <>
      <div class="talk-head">
        <h2 id="albums-heading" tabIndex={-1}>
          {albumWords.heading}
        </h2>
        <button type="button" class="button primary" id="new-album-open" onClick={onMake}>
          {albumWords.create}
        </button>
      </div>
      <p>{albums.value.length === 0 && isListed.value ? albumWords.none : albumWords.about}</p>
      <ul class="album-cards" id="albums" aria-label={albumWords.list}>
        {albums.value.map((album) => (
          <Card key={album.id} album={album} />
        ))}
      </ul>
      <div>
        <Switch
          id="continue-albums"
          label={albumWords.continues}
          isOn={continuesAlbums.value}
          onChange={(isOn) => (continuesAlbums.value = isOn)}
        />
        <Switch id="keep-screen" label={albumWords.screenOn} isOn={keepsScreenOn.value} onChange={(isOn) => (keepsScreenOn.value = isOn)} />
      </div>
    </>
  );
}

function Card({ album: { id, title } }: { album: Album }) {
  const { waiting = 0, done = 0, reviewed = 0, failed = 0, missing = 0 } = counts.value.get(id) ?? {};
  const told = done + reviewed + failed + missing;
  const urls = useThumbnails(id);
  return (
    <li class="album-card">
      <a href={addressOf({ view: "albums", id })}>
        <span class="album-pictures" aria-hidden="true">
          {urls.map((url) => (
            <img key={url} src={url} alt="" />
          ))}
        </span>
        <strong dir="auto">{title || albumWords.untitled}</strong>
        <span class="fine">{albumWords.card(told, told + waiting, done)}</span>
      </a>
    </li>
  );
}

/** Addresses of a few pictures of an album. */
function useThumbnails(album: string): readonly string[] {
  const [urls, setUrls] = useState<readonly string[]>([]);
  useEffect(() => {
    let made: string[] = [];
    let isGone = false;
    void (async () => {
      const some = await (await rows()).someAlbumRows(album, PICTURES);
      const blobs = await Promise.all(some.map((row) => thumbnailOf(row).catch(() => null)));
      if (isGone) return;
      made = blobs.flatMap((blob) => (blob ? [URL.createObjectURL(blob)] : []));
      setUrls(made);
    })();
    return () => {
      isGone = true;
      for (const url of made) URL.revokeObjectURL(url);
    };
  }, [album]);
  return urls;
}
