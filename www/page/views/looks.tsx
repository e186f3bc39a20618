/** Views that are loaded together when one of them is first shown, with their style sheet. */
export { CameraDialog, VideoDialog } from "./capture.js";
export { Structured } from "./structured.js";
export { FieldsDialog, FindDialog, OwnTaskDialog, RulesDialog } from "./task-dialogs.js";
export { PictureDialog } from "./viewer.js";

/** Resolves once the style sheet is there, or cannot be loaded. */
export const styled = new Promise<void>((resolve) => {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = "looks.css";
  link.onload = link.onerror = () => resolve();
  document.head.append(link);
});
