/** Progress over all files of a package, several of which are loaded at once. */
import type { FileEntry } from "./manifest.js";
import type { LoadReport } from "./report.js";

export class Progress {
  /** Bytes of each file so far. */
  private readonly loaded = new Map<string, number>();
  private sum = 0;
  private total = 0;

  constructor(private readonly onReport: (report: LoadReport) => void) {}

  /** Starts anew with these files. */
  expect(files: readonly FileEntry[]): void {
    this.loaded.clear();
    this.sum = 0;
    this.total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  partial({ file }: FileEntry, loaded: number): void {
    this.set(file, loaded, false);
  }

  done({ file, bytes }: FileEntry, cached: boolean): void {
    this.set(file, bytes, cached);
  }

  /** Reports nothing after everything has been loaded: files are read again when weights are uploaded again. */
  private set(file: string, loaded: number, cached: boolean): void {
    if (this.sum === this.total && this.loaded.size > 0) return;
    this.sum += loaded - (this.loaded.get(file) ?? 0);
    this.loaded.set(file, loaded);
    this.onReport({ kind: "progress", stage: "weights", loaded: this.sum, total: this.total, cached });
  }
}
