/** The choice of the device. */
import type { DeviceChoice } from "../../src/index.js";

/** The device that the page's address asks for by `?device=`. */
export function askedDevice(): DeviceChoice {
  const asked = new URLSearchParams(location.search).get("device");
  return asked === "gpu" || asked === "cpu" ? asked : "auto";
}
