/** Places in a picture for other programs. */

/** A place in pixels; a point has no size. */
export interface PixelPlace {
  label: string;
  x: number;
  y: number;
  width: number;
  height: number;
  isPoint: boolean;
}

/** The picture that the places are in, upright. */
export interface PlacedPicture {
  name: string;
  sha256: string;
  width: number;
  height: number;
}

/** The places as boxes and points in pixels from the upper left corner of the upright picture. */
export function placesJson(picture: PlacedPicture, places: readonly PixelPlace[]): string {
  const found = places.map(({ label, isPoint, x, y, width, height }) =>
    isPoint ? { label, point: { x, y } } : { label, box: { x, y, width, height } },
  );
  return `${JSON.stringify({ picture, found }, null, 2)}\n`;
}

/** The places in the format of the COCO data set (cocodataset.org, "Data format"): boxes as detections, points as key points. */
export function placesCoco({ name, width, height }: PlacedPicture, places: readonly PixelPlace[]): string {
  const labels = [...new Set(places.map(({ label }) => label))];
  const hasPoints = (label: string) => places.some((place) => place.label === label && place.isPoint);
  const categories = labels.map((label, index) => ({
    id: index + 1,
    name: label,
    supercategory: "",
    ...(hasPoints(label) ? { keypoints: ["point"], skeleton: [] } : {}),
  }));
  const annotations = places.map(({ label, isPoint, x, y, width, height }, index) => ({
    id: index + 1,
    image_id: 1,
    category_id: labels.indexOf(label) + 1,
    bbox: [x, y, width, height],
    area: width * height,
    segmentation: [],
    iscrowd: 0,
    // 2: labelled and visible.
    ...(isPoint ? { keypoints: [x, y, 2], num_keypoints: 1 } : {}),
  }));
  return `${JSON.stringify({ images: [{ id: 1, file_name: name, width, height }], annotations, categories }, null, 2)}\n`;
}
