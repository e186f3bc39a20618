/** Views that are loaded together when one of them is first shown. */
export { CameraDialog, VideoDialog } from "./capture.js";
export { Structured } from "./structured.js";
export { FieldsDialog, FindDialog, OwnTaskDialog, RulesDialog } from "./task-dialogs.js";
export { PictureDialog } from "./viewer.js";
