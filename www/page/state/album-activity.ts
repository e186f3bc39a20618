/** Albums that are being written, and those that an earlier visit has begun. */
import { signal } from "@preact/signals-core";
import type { Id } from "../store/schema.js";

/** `held`: a person asks. `model`: no model is loaded. `folder`: the folder may not be read yet. `elsewhere`: another tab writes it. */
export type ActivityState = "begun" | "running" | "held" | "model" | "folder" | "elsewhere" | "failed";

/** An album under way, for the whole page. */
export interface Activity {
  album: Id;
  title: string;
  state: ActivityState;
  done: number;
  total: number;
}

export const activities = signal<readonly Activity[]>([]);

/** Shows an album's state, in place of the one before; `null` takes it off. */
export function showActivity(album: Id, activity: Activity | null): void {
  const others = activities.value.filter((each) => each.album !== album);
  activities.value = activity ? [...others, activity] : others;
}
