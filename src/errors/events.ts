import type { Note } from './notes.ts';

/** How long work reports what it does, and is told to stop. */
export interface Events {
  readonly onProgress?: ((event: ProgressEvent) => void) | undefined;
  readonly onNote?: ((note: Note) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** `events.onProgress` for one phase after another. */
export const progressOf =
  ({ onProgress }: Events) =>
  (phase: string, unit = 'samples') =>
  (done: number, total: number): void =>
    onProgress?.({ phase, done, total, unit });

export interface ProgressEvent {
  /** What is being done, e.g. `training`. */
  readonly phase: string;
  readonly done: number;
  readonly total: number;
  /** What is counted, e.g. `samples`. */
  readonly unit: string;
  /** Something worth seeing beside the bar, e.g. the loss. */
  readonly note?: string;
}
