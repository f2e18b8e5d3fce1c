/** The README's code for Python, run. */
import { spawnSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Answer, emittedSubject } from '../emitted-subject.ts';

const test = suite('emit: code for Python');
const subject = await emittedSubject('python');
test.after(subject.remove);

const ZEROS = 'np.zeros((1, 3, 8, 8), np.float32)';
const SAMPLES = 'np.fromfile("samples.bin", np.float32).reshape(-1, 3, 8, 8)';

/** What it prints: the classes of all samples, then their exits. */
function run(code: string): Answer[] {
  const { status, stdout, stderr } = spawnSync('python3', ['-W', 'error', '-c', code], {
    cwd: subject.folder,
    encoding: 'utf8',
  });
  assert.is(status, 0, stderr);
  assert.is(stderr, '', 'no warnings');
  const numbers = stdout.match(/\d+/g)!.map(Number);
  const count = numbers.length / 2;
  return Array.from({ length: count }, (_, n) => ({ index: numbers[n]!, exit: numbers[count + n]! }));
}

test('as it stands it answers as the package does', () => {
  assert.equal(run(subject.code('python')), subject.toZeros);
});

test('samples get the answers of the package, and leave where they do there', () => {
  const code = subject.code('python');
  assert.ok(code.includes(ZEROS));
  assert.equal(run(code.replace(ZEROS, SAMPLES)), subject.answers);
});

test('what it is told of the model is what the manifest says', () => {
  const code = subject
    .code('python')
    .replace(/^feeds[\s\S]*/m, 'print(point["name"], len(json.loads(told["offramp.exits"])))');
  const { stdout, stderr } = spawnSync('python3', ['-c', code], { cwd: subject.folder, encoding: 'utf8' });
  assert.is(stdout.trim(), 'budget-0.6 3', stderr);
});

test.run();
