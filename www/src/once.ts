/** A value that is loaded once for all callers. After a failure the next call loads it again. */
export class Once<T, Asked extends unknown[] = []> {
  private loading: Promise<T> | null = null;

  constructor(private readonly load: (...asked: Asked) => Promise<T>) {}

  /** The loaded value, or the load in progress. */
  get current(): Promise<T> | null {
    return this.loading;
  }

  /** `asked`: options that are used only if nothing is loaded yet. */
  get(...asked: Asked): Promise<T> {
    this.loading ??= this.begin(asked);
    return this.loading;
  }

  /** Makes the next call load it again. */
  forget(): void {
    this.loading = null;
  }

  private begin(asked: Asked): Promise<T> {
    const loading = this.load(...asked);
    loading.catch(() => {
      if (this.loading === loading) this.loading = null;
    });
    return loading;
  }
}
