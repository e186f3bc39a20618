/** What has no other sign than whose engine it is. */

/** Chromium in all its brands. In secure contexts only, where alone there is a model to run. */
export function isChromium(): boolean {
  return "userAgentData" in navigator;
}
