/** A process that writes two packages into one folder, in turn, until it is killed: `write-again.ts folder`. */
import { writeOutput } from '../../src/emit/write.ts';
import { packageOf } from './two-packages.ts';

const [folder] = process.argv.slice(2);
for (let turn = 0; ; turn++) {
  await writeOutput(folder!, packageOf(turn % 2 === 0 ? 'old' : 'new'), { force: true });
  if (turn === 1) console.log('writing');
}
