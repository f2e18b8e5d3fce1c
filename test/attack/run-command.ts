/** Runs the command that its argument tells of, `Told` as JSON, with the event `attack` before it, for `kill-at.js`. Ends with 2 and the code of a coded error. */
import { calibrate } from '../../src/commands/calibrate.ts';
import { compile } from '../../src/commands/compile.ts';
import { extractShard } from '../../src/commands/extract-shard.ts';
import { OfframpError } from '../../src/errors/index.ts';
import { mergeShards } from '../../src/train/shards.ts';
import type { Told } from './commands.ts';

const { command, options } = JSON.parse(process.argv[2]!) as Told;
process.emit('attack' as 'exit', 0);
try {
  if (command === 'compile') await compile(options as Parameters<typeof compile>[0]);
  else if (command === 'calibrate') await calibrate(options as Parameters<typeof calibrate>[0]);
  else if (command === 'features') await extractShard(options as Parameters<typeof extractShard>[0]);
  else await mergeShards((options as { folder: string }).folder);
} catch (error) {
  if (!(error instanceof OfframpError)) throw error;
  console.error(`[${error.code}] ${error.message}`);
  process.exitCode = 2;
}
