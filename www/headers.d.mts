export function headersOf(path: string): Record<string, string>;
export function headersFile(): string;
