/** What compile and calibrate have in common: they write a package, and say what is in it. */
import type { ReadOptions } from '../commands/apart.ts';
import type { Compiled } from '../commands/steps/describe-and-write.ts';
import { writtenInto } from '../emit/write.ts';
import type { Events } from '../errors/events.ts';
import { namesBroken, ofNoUse } from '../errors/index.ts';
import { printResult, watched } from './command.ts';
import { metricsFile, metricsOf } from './gate.ts';
import { formatCompiled } from './tables.ts';

interface Words extends ReadOptions {
  readonly json?: boolean | undefined;
  readonly quiet?: boolean | undefined;
  readonly metrics?: string | undefined;
  readonly strict?: boolean | undefined;
}

/** Runs `work`, which writes into `folder`, and tells its figures. With --strict it throws `names-broken` or `never-pays`. */
export async function writePackage(
  args: Words,
  folder: string,
  work: (events: Events) => Promise<Compiled>,
): Promise<void> {
  const writeMetrics = await metricsFile(args, writtenInto(folder));
  const said = new Map<string, string>();
  const compiled = await watched(args, (events) =>
    work({
      ...events,
      onNote: (note) => {
        said.set(note.code, note.message);
        events.onNote?.(note);
      },
    }),
  );
  printResult(args, compiled.manifest, formatCompiled(compiled, folder));
  const { measuredOn, data } = compiled.manifest;
  await writeMetrics(metricsOf(compiled.manifest, data[measuredOn]?.labels !== 'original'));
  if (!args.strict) return;
  const [losses, never] = [said.get('losses-beyond-names'), said.get('never-pays')];
  if (losses !== undefined) throw namesBroken(losses);
  if (never !== undefined) throw ofNoUse(never);
}
