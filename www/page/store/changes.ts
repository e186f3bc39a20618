/** Tells other tabs of the page which conversations have changed. */

const CHANNEL = "ocelli-page";
const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(CHANNEL);

export function tellChange(conversation: string): void {
  channel?.postMessage(conversation);
}

/** Calls `onChange` with the id of a conversation that another tab has changed. */
export function listenForChanges(onChange: (conversation: string) => void): void {
  channel?.addEventListener("message", ({ data }: MessageEvent<string>) => onChange(data));
}
