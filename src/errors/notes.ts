/** Something the user should know; nothing that stops the work. */
export interface Note {
  /** Stable kebab-case identifier, e.g. `no-test-samples`. */
  readonly code: string;
  /** `warning`: what follows may mean nothing, or not what it seems to. */
  readonly level: 'info' | 'warning';
  /** A sentence or more; options are named as in the API, in backticks. */
  readonly message: string;
}

export const info = (code: string, message: string): Note => ({ code, level: 'info', message });
export const warning = (code: string, message: string): Note => ({ code, level: 'warning', message });
