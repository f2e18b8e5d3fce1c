/**
 * A process that takes locks: `lock-worker.ts <path> <options as JSON>`. For each line on its standard input it runs `exclusively` once, and prints
 * `wait` when it is told to wait, `in` when it is inside, alone or not (`two`), and `out`. A line is how long it stays inside, in ms.
 */
import { open, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { setTimeout as stay } from 'node:timers/promises';
import { exclusively } from '../../src/cache/lock.ts';

const [path, options = '{}'] = process.argv.slice(2);
const say = (word: string) => process.stdout.write(`${word}\n`);
const onNote = ({ message }: { message: string }) => say(`wait ${message}`);
say('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const inside = `${path}.inside`;
  await exclusively(
    [path!],
    { onNote },
    async () => {
      const file = await open(inside, 'wx').catch(() => undefined);
      say(file ? 'in' : 'two');
      await file?.close();
      await stay(Number(line));
      await rm(inside, { force: true });
    },
    JSON.parse(options),
  );
  say('out');
}
