// What the page keeps in the browser. Some browsers refuse; then nothing is kept.

export interface Kept {
  read(): string | undefined;
  /** Undefined forgets it. */
  write(text: string | undefined): void;
}

/** Keeps a text until the tab is closed, or for good. */
export function keep(name: string, how: 'session' | 'always'): Kept {
  const key = `scoreline.${name}`;
  const within = <T>(use: (storage: Storage) => T): T | undefined => {
    try {
      return use(how === 'session' ? sessionStorage : localStorage);
    } catch {
      return undefined;
    }
  };
  return {
    read: () => within((storage) => storage.getItem(key)) ?? undefined,
    write: (text) =>
      within((storage) => {
        if (text === undefined) storage.removeItem(key);
        else storage.setItem(key, text);
      }),
  };
}
