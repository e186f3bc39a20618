/** Something that is loaded once for all who ask. After a failure the next who asks has it loaded again. */
export class Once<T> {
  private loading: Promise<T> | null = null;

  constructor(private readonly load: () => Promise<T>) {}

  /** What is loaded or being loaded. */
  get current(): Promise<T> | null {
    return this.loading;
  }

  get(): Promise<T> {
    this.loading ??= this.begin();
    return this.loading;
  }

  /** The next who asks has it loaded again. */
  forget(): void {
    this.loading = null;
  }

  private begin(): Promise<T> {
    const loading = this.load();
    loading.catch(() => {
      if (this.loading === loading) this.loading = null;
    });
    return loading;
  }
}
