/** Pictures of a camera. */

/** Reasons why there is no picture: not allowed, no camera, or one that another program uses. */
export type CameraFault = "denied" | "none" | "busy";

export interface Camera {
  stream: MediaStream;
  /** The id of the camera in use. */
  id: string;
}

/** A camera to choose. */
export interface CameraName {
  id: string;
  /** Empty where the browser does not tell it. */
  label: string;
}

/** Starts a camera: the one with this id, else the one that looks away from the user. */
export async function startCamera(id: string | null): Promise<Camera | CameraFault> {
  const choice = id === null ? { facingMode: { ideal: "environment" } } : { deviceId: { exact: id } };
  try {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { ...choice, width: { ideal: 1920 }, height: { ideal: 1080 } },
    });
    return { stream, id: stream.getVideoTracks()[0]?.getSettings().deviceId ?? "" };
  } catch (thrown) {
    const { name } = thrown as DOMException;
    if (name === "NotAllowedError" || name === "SecurityError") return "denied";
    return name === "NotFoundError" || name === "OverconstrainedError" ? "none" : "busy";
  }
}

export function stopCamera({ stream }: { stream: MediaStream }): void {
  for (const track of stream.getTracks()) track.stop();
}

/** All cameras. They have names once one of them has been allowed. */
export async function cameras(): Promise<CameraName[]> {
  const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
  return devices.filter(({ kind }) => kind === "videoinput").map(({ deviceId, label }) => ({ id: deviceId, label }));
}
