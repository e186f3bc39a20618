/** Identifies a version of a file on a server, and compares two versions. */

/** Servers of other origins may hide any of these. */
export interface Version {
  /** In bytes. */
  size: number | null;
  etag: string | null;
  lastModified: string | null;
}

/** The reason why `seen` is not the version `known`, or `null` if nothing shows a difference. */
export function difference(known: Version, seen: Version): string | null {
  if (known.size !== null && seen.size !== null && known.size !== seen.size) {
    return `it has ${seen.size} bytes and had ${known.size}`;
  }
  if (known.etag !== null && seen.etag !== null) {
    return withoutWeakMark(known.etag) === withoutWeakMark(seen.etag) ? null : `its ETag is ${seen.etag} and was ${known.etag}`;
  }
  if (known.lastModified !== null && seen.lastModified !== null && known.lastModified !== seen.lastModified) {
    return `it was last modified ${seen.lastModified}, before that ${known.lastModified}`;
  }
  return null;
}

/** Returns true if the ETag or the date shows that `seen`, on another server, is the file `known`. */
export function isSame(known: Version, seen: Version): boolean {
  const bothDated = known.lastModified !== null && seen.lastModified !== null;
  const bothTagged = known.etag !== null && seen.etag !== null;
  return difference(known, seen) === null && (bothTagged || bothDated);
}

/** A server that compresses the response marks the ETag of the same file as weak. */
function withoutWeakMark(etag: string): string {
  return etag.replace(/^W\//, "");
}
