/** The device that models run on, in words. */
import { words } from "../words/index.js";

export function deviceWords(name: string, isSoftware: boolean): string {
  return isSoftware ? words.device.software(name) : name || words.device.unnamed;
}
