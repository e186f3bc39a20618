/** Differences between browser engines that no feature test shows. */

/** Whether this is Chromium under any brand. Works in secure contexts only, the only ones with WebGPU. */
export function isChromium(): boolean {
  return "userAgentData" in navigator;
}
