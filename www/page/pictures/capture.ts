/** Capabilities of this browser. Cameras and screens are offered to secure pages only. */

const devices = navigator.mediaDevices as Partial<MediaDevices> | undefined;

export const canUseCamera = devices?.getUserMedia !== undefined;
export const canShareScreen = devices?.getDisplayMedia !== undefined;
