import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runtimeNames, runtimeSource } from '../../src/emit/runtime-source.ts';
import { sourceFiles } from '../house/sources.ts';

const test = suite('emit: code for generated files');
const modules = sourceFiles('src/runtime');

test('a declaration comes with all that it uses, in order, once, and as it is written', () => {
  const statements = runtimeSource(['Picture'], ['writePictures', 'lumaOf', 'resized']);
  const unexported = (text: string) => text.replace(/^export /gm, '');
  const written = modules.map(({ text }) => unexported(text)).join('\n');
  for (const text of statements) assert.ok(written.includes(unexported(text.trim())), text);
  const all = statements.join('');
  const position = [
    'export interface Picture',
    'function writePictures',
    'function lumaOf',
    'function fits',
  ].map((words) => {
    assert.is(all.split(words).length, 2, `${words}: once`);
    return all.indexOf(words);
  });
  assert.equal(
    position,
    position.toSorted((a, b) => a - b),
  );
  assert.not.match(all, /openSession|^import /m);
  assert.is(all.match(/^export /gm)?.length, 1);
});

test('a name that nothing declares is an error', () => {
  assert.throws(() => runtimeSource(['noSuchThing'], []), /declares no noSuchThing/);
});

test('no two modules declare the same name', () => {
  const names = modules.flatMap(({ text }) =>
    [
      ...text.matchAll(
        /^(?:export )?(?:async )?(?:abstract )?(?:function|class|interface|type|const|let) (\w+)/gm,
      ),
    ].map((m) => m[1]!),
  );
  assert.equal(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
  );
  assert.ok(names.length > 20);
  const known = runtimeNames();
  assert.equal(
    names.filter((name) => !known.has(name)),
    [],
  );
});

test.run();
