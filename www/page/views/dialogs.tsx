/** The dialog that is open. */
import { dialog } from "../state/dialog.js";
import { look } from "./lazy.js";
import { KeysDialog } from "./settings.js";

const FieldsDialog = look((module) => module.FieldsDialog);
const RulesDialog = look((module) => module.RulesDialog);
const FindDialog = look((module) => module.FindDialog);
const OwnTaskDialog = look((module) => module.OwnTaskDialog);
const CameraDialog = look((module) => module.CameraDialog);
const VideoDialog = look((module) => module.VideoDialog);
const PictureDialog = look((module) => module.PictureDialog);

export function Dialogs() {
  const open = dialog.value;
  switch (open?.kind) {
    case "fields":
      return <FieldsDialog />;
    case "rules":
      return <RulesDialog />;
    case "find":
      return <FindDialog />;
    case "task":
      return <OwnTaskDialog key={open.task?.id ?? ""} task={open.task} />;
    case "keys":
      return <KeysDialog />;
    case "camera":
      return <CameraDialog />;
    case "video":
      return <VideoDialog file={open.file} />;
    case "picture":
      return <PictureDialog key={open.picture.id} picture={open.picture} frame={open.frame} />;
    default:
      return null;
  }
}
