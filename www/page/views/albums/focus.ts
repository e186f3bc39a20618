/** The element that gets the focus with the cursor: the row, or its text. */
export const focusPart: { value: "row" | "field" } = { value: "row" };
