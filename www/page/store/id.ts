/** Random ids. */

/** A UUID. Pages that another machine sends over http have no `crypto.randomUUID`, but a browser names blobs by UUIDs. */
export function newId(): string {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const url = URL.createObjectURL(new Blob());
  URL.revokeObjectURL(url);
  return url.slice(-36);
}
