/** Progress on stderr: a bar with rate and time left on a terminal, a plain line now and then elsewhere. */
import { SingleBar } from 'cli-progress';
import type { ProgressEvent } from '../errors/events.ts';

const PLAIN_LINE_SECONDS = 15;
/** A rate over less is noise. */
const LEAST_SECONDS = 0.1;

export class ProgressPrinter {
  private bar: SingleBar | undefined;
  private phase = '';
  private started = 0;
  private printed = 0;
  /** What was done when the phase was first heard of. */
  private before = 0;

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
    this.options.write(text);
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
    this.before = event.done;
    this.printed = this.started;
    if (!this.options.tty) return;
    this.bar = new SingleBar({
      format: `${event.phase.padEnd(20)} {bar} {percentage}% | {value}/{total} ${event.unit} | {pace} {note}`,
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
    const { pace, note } = this.payload(event);
    const percent = Math.floor((100 * event.done) / event.total);
    const counted = `${event.done}/${event.total} ${event.unit}`;
    this.options.write(`${event.phase}: ${percent}% (${counted}${pace && `, ${pace}`})${note && ` ${note}`}`);
  }

  /** Rate, and time left or taken; nothing until some time has passed since the phase was first heard of. */
  private payload(event: ProgressEvent) {
    const elapsed = (Date.now() - this.started) / 1000;
    const rate = (event.done - this.before) / elapsed;
    const note = event.note ?? '';
    if (elapsed < LEAST_SECONDS || rate === 0) return { pace: '', note };
    const last = event.done >= event.total;
    const time = last ? `in ${seconds(elapsed)}` : `${seconds((event.total - event.done) / rate)} left`;
    return { pace: `${rate >= 100 ? rate.toFixed(0) : rate.toPrecision(3)}/s, ${time}`, note };
  }
}

/** 95 → `1m35s`, 0.42 → `0.4s`. */
export function seconds(value: number): string {
  if (value < 9.95) return `${value.toFixed(1)}s`;
  const whole = Math.round(value);
  return whole < 60 ? `${whole}s` : `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, '0')}s`;
}
