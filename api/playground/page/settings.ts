// What the service says of itself in the page. api/playground/playground.ts writes it.

export interface Settings {
  readonly version: string;
  /** Whether callers must show a key or a token. */
  readonly isGuarded: boolean;
  /** Whether they may show a key. */
  readonly takesKeys: boolean;
  /** Whether people can sign in with this browser. */
  readonly canSignIn: boolean;
  /** Where a trace can be looked at. `{traceId}` stands for its id. */
  readonly traceUrl?: string;
}

export const settings: Settings = JSON.parse(
  document.getElementById('settings')?.textContent || '{}',
);
