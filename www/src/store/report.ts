/** Reports of loading and importing. */

/**
 * `manifest`: the package is looked up; `import`: a checkpoint is converted; `weights`: weights are downloaded or read from storage;
 * `kernels`: GPU pipelines are compiled, while the first weights arrive; `prepare`: the last weights are uploaded.
 */
export type LoadStage = "import" | "manifest" | "weights" | "kernels" | "prepare" | "ready";

/** An event while a model is loaded or imported. */
export type LoadReport =
  /** `import` counts bytes of the checkpoint, `weights` bytes of the package, `kernels` pipelines. The other stages have no counts. */
  | { kind: "progress"; stage: LoadStage; loaded: number; total: number; cached: boolean }
  /** A stored file was damaged and has been downloaded again. */
  | { kind: "repaired"; file: string }
  /**
   * Loading continues, but the model will not be stored or, with `update-failed`, in its stored version, because a newer one could not be
   * loaded. `detail` is in bytes, if the browser reports how much it would store.
   */
  | {
      kind: "warning";
      code: "storage-unavailable" | "storage-full" | "update-failed";
      message: string;
      detail: { wanted: number; free: number } | null;
    }
  /** The GPU cannot be used, and the model runs on the processor. `cause` is the code of the error. */
  | { kind: "warning"; code: "gpu-not-used"; message: string; detail: { cause: string } };
