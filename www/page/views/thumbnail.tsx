/** Small pictures of questions. */
import { openDialog } from "../state/dialog.js";
import { pictures } from "../state/pictures.js";
import type { PictureName } from "../store/schema.js";
import { words } from "../words/index.js";

/** A picture that opens in the viewer. */
export function PictureButton({ picture }: { picture: PictureName }) {
  if (!pictures.value.has(picture.id)) return <Thumbnail picture={picture} />;
  return (
    <button
      type="button"
      class="picture"
      aria-label={words.question.openPicture(picture.name)}
      onClick={() => openDialog({ kind: "picture", picture })}
    >
      <Thumbnail picture={picture} />
    </button>
  );
}

export function Thumbnail({ picture: { id, name } }: { picture: PictureName }) {
  const picture = pictures.value.get(id);
  if (!picture) return <span class="no-picture">{words.answer.pictureGone(name)}</span>;
  const size = picture.width > 0 ? { width: picture.width, height: picture.height } : {};
  return <img src={picture.url} alt={name} {...size} decoding="async" />;
}
