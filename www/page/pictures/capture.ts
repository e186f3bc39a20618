/** What this browser can take pictures of. Browsers offer cameras and screens to secure pages only. */

const devices = navigator.mediaDevices as Partial<MediaDevices> | undefined;

export const canUseCamera = devices?.getUserMedia !== undefined;
export const canShareScreen = devices?.getDisplayMedia !== undefined;
