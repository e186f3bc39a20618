/** Something that is loaded once for all who ask. After a failure the next who asks has it loaded again. */
export class Once<T, Asked extends unknown[] = []> {
  private loading: Promise<T> | null = null;

  constructor(private readonly load: (...asked: Asked) => Promise<T>) {}

  /** What is loaded or being loaded. */
  get current(): Promise<T> | null {
    return this.loading;
  }

  /** What is `asked` counts where nothing is loaded yet. */
  get(...asked: Asked): Promise<T> {
    this.loading ??= this.begin(asked);
    return this.loading;
  }

  /** The next who asks has it loaded again. */
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
