/** Size limits of downloads in bytes after brotli: of the first visit, and of each module. Lower them whenever possible. */
export const MOST_BYTES = { engine: 650_000, pictures: 143_000, grammar: 350_000, import: 262_000, cpu: 72_000 };
