/** Files that are saved where the browser puts downloads. */

const KEEP_MS = 60_000;

export function saveFile(name: string, content: Blob | string, type = "application/json"): void {
  const blob = typeof content === "string" ? new Blob([content], { type }) : content;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser reads the address after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), KEEP_MS);
}

/** A file's name without its ending. */
export function stemOf(name: string): string {
  return name.replace(/\.[^.]*$/, "");
}
