/** Tells other tabs of the page which conversations and albums have changed. */

const CHANNEL = "ocelli-page";
const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(CHANNEL);

/** A change of an album: of itself, and of some of its rows. */
export interface AlbumChange {
  album: string;
  rows: string[];
}

export function tellChange(conversation: string): void {
  channel?.postMessage(conversation);
}

export function tellAlbumChange(change: AlbumChange): void {
  channel?.postMessage(change);
}

/** Calls `onChange` with the id of a conversation that another tab has changed. */
export function listenForChanges(onChange: (conversation: string) => void): void {
  channel?.addEventListener("message", ({ data }: MessageEvent<string | AlbumChange>) => typeof data === "string" && onChange(data));
}

/** Calls `onChange` with the changes of albums by other tabs. */
export function listenForAlbumChanges(onChange: (change: AlbumChange) => void): void {
  channel?.addEventListener("message", ({ data }: MessageEvent<string | AlbumChange>) => typeof data !== "string" && onChange(data));
}
