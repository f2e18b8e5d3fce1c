/** manifest.json is data: whatever its strings hold, they are values of what is generated from it, and nothing else. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ts } from 'ts-morph';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { emit } from '../../src/commands/emit.ts';
import type { Manifest } from '../../src/emit/manifest.ts';
import { readManifest } from '../../src/emit/manifest-json.ts';
import { emitPackage } from '../../src/emit/stub.ts';
import { printTritonConfig } from '../../src/export/triton-config.ts';
import { COPY_SCRIPT } from '../../src/report/copy-script.ts';
import { reportFacts, reportPage } from '../../src/report/index.ts';
import { MODEL_CONFIG } from '../export/model-config.ts';
import { readTextProto } from '../export/read-text-proto.ts';
import { drawnSeen, MANIFEST } from '../report/sample.ts';
import { CHAIN, SAMPLE } from './sample.ts';

const test = suite('emit: hostile manifests');
const PROTOTYPE = Object.getOwnPropertyNames(Object.prototype).sort();
const folder = mkdtempSync(join(tmpdir(), 'offramp-hostile-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const RUN = 'globalThis.EVIL=1';
const HOSTILE = [
  `';${RUN};'";${RUN};"`,
  `\`\${${RUN}}\` */${RUN};/*`,
  `\n${RUN}\n//\r\n\`\`\`\n<script>${RUN}</script>`,
  `\u2028${RUN}\u2029\\';${RUN};//`,
  `</script><script>${RUN}</script><!-- <img src=x onerror="${RUN}">`,
  `: number]; ${RUN}; type X = [y \\`,
  '__proto__',
  '[a](javascript:alert(1)) | `b` **c** &lt; \ud800 \u0000 \u0085 %0a',
];

/** One with every string that there may be, once more with a second input and data beside the model. */
const WHOLE: Manifest = {
  ...SAMPLE,
  source: { ...SAMPLE.source, exitOutputs: ['a', 'b'], output: 'logits', dims: { sequence: 3 } },
  training: { epochs: 1, batch: 2, learningRate: 0.1, views: 1, steps: [1], losses: { exit_1: [0.5] } },
  policyFit: { parameters: { weights: [1] }, data: { samples: 5, hash: 'dd', from: 'split of train' } },
  policyComparison: { costs: [0, 1], policies: [{ policy: 'entropy', mean: 0.5, curve: [0.4, 0.5] }] },
  inputs: [
    { name: 'pixels', dataType: 'float', dims: ['N', 3, 2, 2] },
    { name: 'mask', dataType: 'bool', dims: ['N', 4] },
  ],
  dataFiles: ['weights.bin'],
  tokenizer: { sha256: 'ab'.repeat(32) },
};

/** The same of a chain. */
const CHAINED: Manifest = {
  ...WHOLE,
  exits: CHAIN.exits,
  networks: CHAIN.networks!.map((network) => ({ ...network, output: 'y', dims: { rows: 2 } })),
  leftOut: CHAIN.leftOut!,
};

type Path = readonly (string | number)[];

/** Where strings stand in `value`; `key` at the end is the last key itself. */
function* stringsIn(value: unknown, at: Path = []): Generator<Path> {
  if (typeof value === 'string') yield at;
  if (typeof value !== 'object' || value === null) return;
  const isOpen =
    ['dims', 'losses', 'parameters', 'p95s'].includes(String(at.at(-1))) && !Array.isArray(value);
  for (const [key, one] of Object.entries(value)) {
    yield* stringsIn(one, [...at, Array.isArray(value) ? Number(key) : key]);
    if (isOpen) yield [...at, key, 'key'];
  }
}

/** A copy of `manifest` with `text` at `path`. */
function withText(manifest: Manifest, path: Path, text: string): Manifest {
  const copy = structuredClone(manifest) as never as Record<string, unknown>;
  const isKey = path.at(-1) === 'key';
  const way = isKey ? path.slice(0, -2) : path.slice(0, -1);
  const holder = way.reduce((one, key) => one[key] as never, copy) as Record<string, unknown>;
  const last = String(isKey ? path.at(-2) : path.at(-1));
  const value = holder[last];
  if (isKey) delete holder[last];
  Object.defineProperty(holder, isKey ? text : last, {
    value: isKey ? value : text,
    ...{ enumerable: true, configurable: true, writable: true },
  });
  const { defaultPoint, operatingPoints } = manifest;
  const renamed = path.join() === `operatingPoints,${operatingPoints.findIndex((p) => p.name === defaultPoint)},name`;
  return { ...(copy as never as Manifest), ...(renamed && { defaultPoint: text }) };
} // biome-ignore format: short

/** The manifest that is read from `manifest` as a file; undefined where it is refused. */
function read(manifest: Manifest): Manifest | undefined {
  try {
    return readManifest(JSON.stringify(manifest));
  } catch (error) {
    assert.is((error as { code: string }).code, 'invalid-manifest', String(error));
    return undefined;
  }
}

/** `WHOLE` with hostile text wherever it is taken: field i has text i + `turn`. */
function hostile(turn: number, base = WHOLE): { manifest: Manifest; taken: number } {
  let manifest = base;
  let taken = 0;
  for (const [i, path] of [...stringsIn(base)].entries()) {
    const next = withText(manifest, path, `${HOSTILE[(i + turn) % HOSTILE.length]}`);
    if (!read(next)) continue;
    manifest = next;
    taken++;
  }
  return { manifest: read(manifest)!, taken };
}

const kindsOf = (file: string, text: string): string => {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022);
  const { parseDiagnostics = [] } = source as unknown as { parseDiagnostics?: { messageText: unknown }[] };
  assert.equal(parseDiagnostics.map(({ messageText }) => messageText), [], file);
  return source.statements.map(({ kind }) => ts.SyntaxKind[kind]).join(' ');
}; // biome-ignore format: short

/** Markdown without code: what is left of `<` and `[` is markup. */
const withoutCode = (text: string) =>
  text.replace(/^```[a-z]*\n.*?^```$/gms, '').replace(/(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)/g, '');

test('strings are values in every file of the package', async () => {
  const globals = globalThis as { EVIL?: unknown };
  const turns = [[0, WHOLE], [3, WHOLE], [6, WHOLE], [0, CHAINED], [2, CHAINED], [4, CHAINED]] as const;
  for (const [turn, base] of turns) {
    const usual = emitPackage(readManifest(JSON.stringify(base)));
    const { manifest, taken } = hostile(turn, base);
    assert.ok(taken > 15, `${taken} fields took hostile text`);
    const files = emitPackage(manifest);
    for (const name of ['index.ts', 'index.js', 'index.d.ts', 'index.cjs', 'index.d.cts'])
      assert.is(kindsOf(name, files.get(name)!), kindsOf(name, usual.get(name)!), name);
    const path = join(folder, `${turn}${base === WHOLE ? '' : '-chain'}.mjs`);
    writeFileSync(path, files.get('index.js')!);
    const made = await import(pathToFileURL(path).href);
    assert.is(globals.EVIL, undefined);
    assert.equal(made.labels, manifest.labels);
    assert.equal(Object.keys(made.inputs), manifest.inputs.map(({ name }) => name));
    assert.equal(
      made.exits.map((exit: { id: string; tap: string }) => [exit.id, exit.tap]),
      manifest.exits.map(({ id, tap }) => [id, tap]),
    );
    assert.equal(Object.keys(made.operatingPoints), manifest.operatingPoints.map(({ name }) => name));
    assert.is(made.defaultPoint, manifest.defaultPoint);
    assert.equal(made.sessionOptions.executionProviders, [manifest.sessionOptions.provider]);
    const { description } = JSON.parse(files.get('package.json')!);
    const [first, last] = manifest.networks?.map(({ file }) => file) ?? [];
    assert.is(description, first ? `chain of ${first} and ${last}` : `${manifest.source.file} with 2 early exits`);
    if (first) assert.equal(made.networks.map(({ file }: { file: string }) => file), [first, last]);
    const [, frontMatter, body] = /^---\n([\s\S]*?\n)---\n([\s\S]*)$/.exec(files.get('README.md')!)!;
    const keysOf = (yaml: string) => [...yaml.matchAll(/^[ -]*([\w-]+):/gm)].map(([, key]) => key);
    const [, usualMatter] = /^---\n([\s\S]*?\n)---\n/.exec(usual.get('README.md')!)!;
    assert.equal(keysOf(frontMatter!), keysOf(usualMatter!));
    const metrics = parse(frontMatter!)['model-index'][0].results[0].metrics as { name: string }[];
    assert.is(metrics[0]!.name, `accuracy at ${manifest.operatingPoints[0]!.name}`);
    const readme = withoutCode(body!);
    assert.not.match(readme, /(?<!\\)<|(?<!\\)\]\(|(?<!\\)\*\*/, readme);
    const lines = (text: string) => text.split('\n').length;
    assert.is(lines(files.get('README.md')!), lines(usual.get('README.md')!), 'no line was added');
  }
}); // biome-ignore format: rows

test('what becomes a name of generated code, or a path, is refused where it is none', () => {
  const refused: [Path, readonly string[]][] = [
    [['exits', 0, 'id'], HOSTILE],
    [
      ['exits', 0, 'id'],
      ['', 'full', 'constructor', 'exit 1', 'exit_0', '1', 'exit_1\n', 'exit_2'],
    ],
    [
      ['operatingPoints', 0, 'name'],
      ['', 'a\nb', 'a\u2028b', 'a\u0085b', 'exact'],
    ],
    [
      ['dataFiles', 0],
      ['', '/etc/passwd', '..', '../x', 'a/../../x', 'a\n/../x', '..\\x', 'a\nb'],
    ],
    [
      ['source', 'file'],
      ['', 'a/b', 'a\\b'],
    ],
    [
      ['inputs', 0, 'name'],
      ['', 'mask'],
    ],
    [['version'], ['', '1 2', '1\n', "1'"]],
    [
      ['environment', 'onnxruntime'],
      ['', '1 || 2', 'file:../x', '1\n'],
    ],
    [['policy'], ['', 'a b']],
    [
      ['preprocessing', 'layout'],
      ['NCHW ', ''],
    ],
  ];
  for (const [path, texts] of refused)
    for (const text of texts)
      assert.is(read(withText(WHOLE, path, text)), undefined, `${path.join('.')}: ${JSON.stringify(text)}`);
  const more = { ...WHOLE.preprocessing, 'x$(id)': 1 } as never;
  assert.is(read({ ...WHOLE, preprocessing: more }), undefined);
});

test('emit refuses a manifest whose exits are no names, and sees what was tampered with', async () => {
  const home = mkdtempSync(join(folder, 'package-'));
  const refusal = async (check: boolean) => {
    try {
      await emit({ folder: home, check });
      return 'done';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  writeFileSync(join(home, 'manifest.json'), JSON.stringify(SAMPLE));
  assert.equal([await refusal(false), await refusal(true)], ['done', 'done']);
  writeFileSync(join(home, 'manifest.json'), JSON.stringify({ ...SAMPLE, defaultPoint: 'fast' }));
  assert.is(await refusal(true), 'package-differs');
  const odd = withText(SAMPLE, ['exits', 0, 'id'], `exit_1: number];\n${RUN};\ntype X = [y`);
  writeFileSync(join(home, 'manifest.json'), JSON.stringify(odd));
  assert.equal([await refusal(false), await refusal(true)], ['invalid-manifest', 'invalid-manifest']);
});

test('strings are text in the report', async () => {
  const seen = drawnSeen();
  const { networks, leftOut, exits } = CHAINED;
  const chain = { ...MANIFEST, networks: networks!, leftOut: leftOut!, exits };
  for (const [turn, base] of [[0, MANIFEST], [4, MANIFEST], [0, chain], [1, chain], [4, chain]] as const) {
    const { manifest } = hostile(turn, base);
    const whole = await reportPage(reportFacts(manifest, () => seen), new Map());
    const page = whole.replace(`<script>${COPY_SCRIPT}</script>`, '');
    assert.is.not(page, whole);
    assert.is(/<script|<img src=x|<!--| onerror="/.exec(page)?.[0], undefined);
    assert.is(/="[^"<>]*<(?!\/?svg)/.exec(page)?.[0], undefined);
  }
}); // biome-ignore format: short

test('strings are values in the configuration for Triton', () => {
  // What reads it here has no place for a field of that name.
  for (const text of HOSTILE.filter((text) => text !== '__proto__')) {
    const tensor = (name: string) => ({ name, dataType: 'float' as const, dims: [-1, 3] });
    const printed = printTritonConfig({
      ...{ name: 'net', notes: [text, 'a note'], scores: text, labelFile: 'labels.txt' },
      ...{ inputs: [tensor(text)], outputs: [tensor(text)], maxBatch: 1, instances: 1, threads: 1 },
    });
    const config = readTextProto(printed, MODEL_CONFIG) as unknown as Record<string, { name: string }[]>;
    assert.equal(Object.keys(config).length, 8, printed);
    if (!text.includes('\ud800')) assert.is(config.input![0]!.name, text);
  }
}); // biome-ignore format: rows

test('nothing is left behind on the prototype of all objects', () => {
  assert.equal(Object.getOwnPropertyNames(Object.prototype).sort(), PROTOTYPE);
});

test.run();
