export function cloneInto(folder: string, www: string): Promise<void>;
