/** What docs/ says of the sources is so. docs/guide.md is run by readme.test.ts. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { drawPictures } from '../../scripts/pictures.ts';
import { leastCalibration, noiseTable, promiseTable } from '../../scripts/sample-counts.ts';
import { POLICIES } from '../../src/policies/index.ts';
import { ROOT } from './sources.ts';

const test = suite('house: docs');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const pages = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

test('every relative link leads somewhere', () => {
  const broken = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\(([^)#:]+)(#[^)]*)?\)/g)]
      .map(([, target]) => [page, join(dirname(page), target!)] as const)
      .filter(([, target]) => !existsSync(join(ROOT, target)))
      .map(([, target]) => `${page}: ${target}`),
  );
  assert.equal(broken, []);
});

test('every file and folder of the sources that is named exists', () => {
  const gone = pages.flatMap((page) =>
    [...read(page).matchAll(/`((?:src|test|scripts|schema|bench)\/[\w./-]+)`/g)]
      .filter(([, path]) => !existsSync(join(ROOT, path!)))
      .map(([, path]) => `${page}: ${path}`),
  );
  assert.equal(gone, []);
});

test('docs/policies.md has a row and a source for every policy, and no others', () => {
  const text = read('docs/policies.md');
  const rows = [...text.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, name]) => name!);
  const sources = [...text.matchAll(/^- \*\*`([\w-]+)`\*\*: /gm)].map(([, name]) => name!);
  assert.equal(rows.sort(), Object.keys(POLICIES).sort());
  assert.equal(sources.sort(), rows);
  const cited = Object.entries(POLICIES).map(([name, { citation }]) => [
    name,
    /(19|20)\d\d/.exec(citation)?.[0],
  ]);
  for (const [name, year] of cited) {
    const line = text.split('\n').find((l) => l.startsWith(`- **\`${name}\`**`))!;
    assert.ok(year === undefined || line.includes(year), `${name}: ${year}`);
  }
});

test('the policy and the interface that docs/extending.md shows are those of the sources', () => {
  const [policy, source] = [...read('docs/extending.md').matchAll(/```ts\n([\s\S]*?)```/g)].map(
    ([, code]) => code!,
  );
  assert.is(policy, read('src/policies/max-prob.ts'));
  const members = (text: string) =>
    [...text.matchAll(/^ {2}(?:readonly )?(\w+\??(?:\(\))?: [^;]+);/gm)].map(([, member]) => member);
  const real = /export interface Source \{[\s\S]*?\n\}/.exec(read('src/data/records.ts'))![0];
  assert.equal(members(source!), members(real));
});

test("README's pictures are what scripts/pictures.ts draws", async () => {
  for (const [path, svg] of await drawPictures())
    assert.is(read(path), svg, `${path}: npx tsx scripts/pictures.ts`);
});

test('README is short', () => {
  // As wc -w counts.
  const words = read('README.md').split(/\s+/).filter(Boolean);
  assert.ok(words.length < 1200, `${words.length} words`);
});

test('docs/guide.md has the sample counts of the code', () => {
  const guide = read('docs/guide.md');
  for (const table of [promiseTable(), noiseTable()]) assert.ok(guide.includes(`\n\n${table}`), table);
  assert.match(guide, `with fewer than ${leastCalibration(0.01)} in all`);
});

test('docs/guide.md has the exit codes that help tells', () => {
  const codes = [
    ...read('docs/guide.md')
      .split('## Exit codes')[1]!
      .matchAll(/^\| (\d+) \| /gm),
  ].map(([, code]) => code);
  const told = /'Exit codes: (.*?)\./.exec(read('src/cli/index.ts'))![1]!;
  assert.equal(codes, [...told.matchAll(/\d+/g)].map(String));
});

test.run();
