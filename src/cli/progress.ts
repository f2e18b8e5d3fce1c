/** Progress on stderr: a bar with rate and time left on a terminal, a plain line now and then elsewhere. */
import { SingleBar } from 'cli-progress';
import type { ProgressEvent } from '../events.ts';

const PLAIN_LINE_SECONDS = 15;

export class ProgressPrinter {
  private bar: SingleBar | undefined;
  private phase = '';
  private started = 0;
  private printed = 0;

  constructor(private readonly options: { quiet: boolean; tty: boolean; write: (line: string) => void }) {}

  readonly update = (event: ProgressEvent): void => {
    if (this.options.quiet) return;
    if (event.phase !== this.phase) this.begin(event);
    if (this.options.tty) this.bar?.update(event.done, this.payload(event));
    else this.plain(event);
    if (event.done >= event.total) this.stop();
  };

  /** A line between bars. */
  readonly line = (text: string): void => {
    this.stop();
    if (!this.options.quiet) this.options.write(text);
  };

  stop(): void {
    this.bar?.stop();
    this.bar = undefined;
    this.phase = '';
  }

  private begin(event: ProgressEvent): void {
    this.stop();
    this.phase = event.phase;
    this.started = Date.now();
    this.printed = this.started;
    if (!this.options.tty) return;
    this.bar = new SingleBar({
      format: `${event.phase.padEnd(20)} {bar} {percentage}% | {value}/{total} ${event.unit} | {rate}/s | {left} left {note}`,
      stream: process.stderr,
      hideCursor: true,
      fps: 5,
    });
    this.bar.start(event.total, event.done, this.payload(event));
  }

  private plain(event: ProgressEvent): void {
    const last = event.done >= event.total;
    if (!last && Date.now() - this.printed < PLAIN_LINE_SECONDS * 1000) return;
    this.printed = Date.now();
    const { rate, left, note } = this.payload(event);
    const percent = Math.floor((100 * event.done) / event.total);
    const tail = last ? `in ${seconds((Date.now() - this.started) / 1000)}` : `${left} left`;
    this.options.write(
      `${event.phase}: ${percent}% (${event.done}/${event.total} ${event.unit}, ${rate}/s, ${tail})${note && ` ${note}`}`,
    );
  }

  private payload(event: ProgressEvent) {
    const elapsed = (Date.now() - this.started) / 1000;
    const rate = elapsed > 0 ? event.done / elapsed : 0;
    const left = rate > 0 ? seconds((event.total - event.done) / rate) : '?';
    return { rate: rate >= 100 ? rate.toFixed(0) : rate.toPrecision(3), left, note: event.note ?? '' };
  }
}

/** 95 → `1m35s`. */
export function seconds(value: number): string {
  const whole = Math.round(value);
  return whole < 60 ? `${whole}s` : `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, '0')}s`;
}
