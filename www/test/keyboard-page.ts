/** Movements of a visitor who has a keyboard alone. */
import assert from "node:assert/strict";
import { until, type Tab } from "./driver.js";

/** More controls than any view has before the wanted one. */
const MOST_STEPS = 80;

/**
 * Presses Tab, or Shift+Tab if the element is before the focus, until the focus is on an element that is shown and has an outline or a
 * shadow. The focus never goes around the end of the page: in Firefox that leads through the browser's own controls, after which the page
 * shows no focus.
 */
export async function reach(tab: Tab, selector: string): Promise<void> {
  const isOn = () => tab.run((selector) => document.activeElement?.matches(selector) === true, selector);
  const isAfter = (selector: string) => {
    const from = document.activeElement ?? document.body;
    const follows = (element: Element) => (from.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0;
    return [...document.querySelectorAll(selector)].some(follows);
  };
  const passed: string[] = [];
  for (let step = 0; step < MOST_STEPS && !(await isOn()); step++) {
    await tab.press((await tab.run(isAfter, selector)) ? "Tab" : "Shift+Tab");
    passed.push(await tab.run(() => document.activeElement?.id || document.activeElement?.textContent?.slice(0, 20) || "-"));
  }
  assert.ok(await isOn(), `${selector} is not among ${passed.join(", ")}`);
  const isShown = () => {
    const focused = document.activeElement as HTMLElement;
    const { boxShadow, outlineStyle } = getComputedStyle(focused);
    const label = focused instanceof HTMLInputElement && focused.type === "file" ? focused.nextElementSibling : null;
    const { width, height } = focused.getBoundingClientRect();
    const outline = label ? getComputedStyle(label).outlineStyle : outlineStyle === "none" ? boxShadow : outlineStyle;
    return width > 0 && height > 0 && outline !== "none";
  };
  const where = () =>
    tab.run(() => `${document.activeElement?.outerHTML.slice(0, 80)}, in a page ${document.hasFocus() ? "with" : "without"} the focus`);
  await until(tab, `${selector} is seen to have the focus`, isShown, undefined, 10).catch(async (thrown: unknown) => {
    throw new Error(`the focus is on ${await where()}, after ${passed.join(", ")}`, { cause: thrown });
  });
}

/** Follows a control by Enter. */
export async function use(tab: Tab, selector: string): Promise<void> {
  await reach(tab, selector);
  await tab.press("Enter");
}

export function hasFocus(tab: Tab, selector: string): Promise<void> {
  return until(tab, `the focus is on ${selector}`, (selector) => document.activeElement?.matches(selector), selector, 30);
}

/** Checks that the focus is below an element once the view is drawn. */
export async function isKept(tab: Tab, selector: string, when: string): Promise<void> {
  const at = await tab.run(async (selector) => {
    for (let frame = 0; frame < 3; frame++) await new Promise((resolve) => requestAnimationFrame(resolve));
    const { activeElement, body } = document;
    return activeElement && activeElement !== body && activeElement.closest(selector) ? "" : `${activeElement?.outerHTML.slice(0, 80)}`;
  }, selector);
  assert.equal(at, "", `the focus is kept ${when}`);
}
