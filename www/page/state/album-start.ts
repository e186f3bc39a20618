/** Begins, pauses and continues albums. The code that writes them is loaded when it is first wanted. */
import type { Id } from "../store/schema.js";
import { activities, showActivity } from "./album-activity.js";
import { lateWordsLoaded } from "../words/language.js";
import { rows } from "./kept.js";
import { continuesAlbums } from "./settings.js";

/** Finds albums that an earlier visit has begun; they continue automatically if the settings say so. */
export async function loadActivities(): Promise<void> {
  const store = await rows();
  for (const { id, title, isStarted, deletedAt } of await store.all("albums")) {
    if (!isStarted || deletedAt !== null || activities.value.some(({ album }) => album === id)) continue;
    const { waiting, done, reviewed, failed, missing } = await store.albumCounts(id);
    if (waiting === 0) continue;
    const told = done + reviewed + failed + missing;
    showActivity(id, { album: id, title, state: "begun", done: told, total: told + waiting });
    const [{ start, watchIfWritten }] = await Promise.all([import("./album-run.js"), lateWordsLoaded()]);
    await watchIfWritten(id, () => continuesAlbums.value && void start(id, false));
  }
}

export async function startAlbum(id: Id): Promise<void> {
  await (await import("./album-run.js")).start(id, true);
}

export async function pauseAlbum(id: Id): Promise<void> {
  await (await import("./album-run.js")).pause(id);
}
