/** A picture of the screen, of a window or of a tab, as the user chooses. */
import { frameOf, playing } from "./pixels.js";

/** One picture; `null` if the user does not want to share one. */
export async function takeScreenshot(name: string): Promise<File | null> {
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getDisplayMedia({ video: true });
  } catch {
    return null;
  }
  try {
    const video = await playing(stream);
    return await frameOf(video, name);
  } finally {
    for (const track of stream.getTracks()) track.stop();
  }
}
