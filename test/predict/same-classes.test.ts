/** A first network must know the original's classes, in its order. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assign } from '../../src/calibrate/assign.ts';
import { shuffled, uniforms } from '../../src/graph/random.ts';
import { checkSameClasses } from '../../src/predict/same-classes.ts';

const test = suite('same classes');

/** [n] classes, and what is right on `share` of them and else any class. */
function answersOf(n: number, classes: number, share: number, seed: number) {
  const draw = uniforms(seed);
  const any = () => Math.floor(draw() * classes);
  const labels = Int32Array.from({ length: n }, any);
  const near = (to: Int32Array, how: number) => to.map((label) => (draw() < how ? label : any()));
  const original = near(labels, 0.95);
  return { labels, original, first: near(original, share) };
}

interface Refused {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}
function refusal(run: () => unknown): Refused {
  try {
    run();
  } catch (error) {
    return error as Refused;
  }
  throw new Error('nothing was refused');
}

test('one that agrees is taken without a word', () => {
  for (const [n, classes] of [[200, 2], [200, 10], [3000, 100]] as const) {
    const { labels, original, first } = answersOf(n, classes, 0.8, classes);
    assert.is(checkSameClasses({ name: 'f', answers: first }, { answers: original }, labels, classes), undefined);
    assert.is(checkSameClasses({ name: 'f', answers: first }, { answers: original }, undefined, classes), undefined);
  }
}); // biome-ignore format: a table

test('one that guesses is refused, with what was measured, and told of its preprocessing', () => {
  for (const constant of [false, true]) {
    const { labels, original, first } = answersOf(400, 10, 0, 7);
    const answers = constant ? first.fill(3) : first;
    const equal = (to: Int32Array) => answers.filter((answer, i) => answer === to[i]).length;
    const { code, message, hint } = refusal(() =>
      checkSameClasses({ name: 'small.onnx', answers }, { answers: original }, labels, 10),
    );
    assert.is(code, 'first-disagrees');
    assert.ok(message.startsWith('small.onnx '));
    assert.ok(
      message.includes(
        `${equal(original)} of 400 samples, among 10 classes; ${((100 * equal(labels)) / 400).toFixed(1)} % of`,
      ),
      message,
    );
    assert.match(
      hint,
      /usually guesses.*`first\[\]\.preset`, `first\[\]\.scale`, `first\[\]\.mean`, `first\[\]\.std`, `first\[\]\.channels`, `first\[\]\.layout`/,
    );
    const unlabelled = refusal(() =>
      checkSameClasses({ name: 'f', answers }, { answers: original }, undefined, 10),
    );
    assert.not.match(unlabelled.message, / right/);
  }
});

test('one whose classes are in another order is refused, and the order is told', () => {
  for (const [n, classes] of [
    [400, 10],
    [6000, 300],
  ] as const) {
    const { labels, original, first } = answersOf(n, classes, 0.85, classes);
    // No class stays where it is.
    const turn = shuffled(classes, 5);
    const own = new Map([...turn].map((label, i) => [label, turn[(i + 1) % classes]!]));
    const answers = first.map((label) => own.get(label)!);
    const { code, hint } = refusal(() =>
      checkSameClasses({ name: 'f', answers }, { answers: original }, labels, classes),
    );
    assert.is(code, 'first-disagrees');
    assert.match(hint, /`first\[\]\.labels`.*`labels`/);
    const pairs = [...hint.matchAll(/its class (\d+) is the original's (\d+)/g)].map(([, a, b]) => [
      Number(a),
      Number(b),
    ]);
    assert.is(pairs.length, 4);
    for (const [mine, meant] of pairs) assert.is(own.get(meant!), mine);
    assert.not.match(hint, /first\[\]\.preset/);
  }
});

test('one answer to everything is no order, where most samples are of one class', () => {
  const original = Int32Array.from({ length: 400 }, (_, i) => (i % 10 < 9 ? 1 : 0));
  const { hint } = refusal(() =>
    checkSameClasses({ name: 'f', answers: new Int32Array(400) }, { answers: original }, undefined, 2),
  );
  assert.match(hint, /first\[\]\.preset/);
});

test('two classes swapped: taken, with a warning that names them', () => {
  const { labels, original, first } = answersOf(600, 10, 0.9, 11);
  const answers = first.map((label) => (label === 3 ? 5 : label === 5 ? 3 : label));
  const note = checkSameClasses({ name: 'small.onnx', answers }, { answers: original }, labels, 10)!;
  assert.equal([note.code, note.level], ['first-classes-swapped', 'warning']);
  assert.match(note.message, /small\.onnx would .* of 300 samples more/);
  const pairs = [...note.message.matchAll(/its class (\d+) is the original's (\d+)/g)].map(
    ([, a, b]) => `${a} ${b}`,
  );
  assert.equal(pairs.sort(), ['3 5', '5 3']);
  assert.match(note.message, /`first\[\]\.labels`/);
});

test('what chance swaps is no reason for a warning', () => {
  let warned = 0;
  for (let seed = 0; seed < 100; seed++) {
    const { labels, original, first } = answersOf(60, 20, 0.4, 100 + seed);
    if (checkSameClasses({ name: 'f', answers: first }, { answers: original }, labels, 20)) warned++;
  }
  assert.ok(warned <= 10, `${warned} of 100, where the test has a level of 5 %`);
});

test('the best assignment is found: against all permutations, and at 1000 classes', () => {
  const permutations = (n: number): number[][] =>
    n === 0
      ? [[]]
      : permutations(n - 1).flatMap((p) =>
          [...Array(n).keys()].map((at) => [...p.slice(0, at), n - 1, ...p.slice(at)]),
        );
  const draw = uniforms(3);
  for (const n of [1, 2, 3, 5, 6]) {
    for (let round = 0; round < 10; round++) {
      const gains = Int32Array.from({ length: n * n }, () => Math.floor(draw() * 9));
      const sum = (columns: ArrayLike<number>) =>
        Array.from({ length: n }, (_, i) => gains[i * n + columns[i]!]!).reduce((a, b) => a + b);
      const found = assign(gains, n);
      assert.is(new Set(found).size, n);
      assert.is(sum(found), Math.max(...permutations(n).map(sum)));
    }
  }
  const n = 1000;
  const turn = shuffled(n, 9);
  const gains = new Int32Array(n * n).map(() => Math.floor(draw() * 3));
  for (let i = 0; i < n; i++) gains[i * n + turn[i]!]! += 3;
  assert.equal(assign(gains, n), turn);
});

test.run();
