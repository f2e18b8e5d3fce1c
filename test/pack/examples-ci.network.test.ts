/** examples/ci as its readers use it: the steps of the workflow, of DVC and of the Dockerfile, run here with the packed package. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { ROOT } from '../house/sources.ts';
import { placeSamples, writeModel } from '../stand-ins.ts';
import { must, packed, run } from './packed.ts';

interface Step {
  readonly name?: string;
  readonly uses?: string;
  readonly with?: Readonly<Record<string, unknown>>;
  readonly if?: string;
  readonly run?: string;
}
interface Workflow {
  readonly jobs: Record<string, { readonly env: Record<string, string>; readonly steps: readonly Step[] }>;
}

const test = suite('examples: CI');
const folder = mkdtempSync(join(tmpdir(), 'offramp-ci-'));
const project = join(folder, 'project');
const home = join(folder, 'home');
const read = (name: string) => readFileSync(join(ROOT, 'examples/ci', name), 'utf8');
const workflow = parse(read('offramp.yml')) as Workflow;
const { env, steps } = workflow.jobs.package!;
/** Small stand-ins keep this bound, whatever machine they are trained on. */
const lax = (command: string) => command.replaceAll('drop > 1.5', 'drop > 50');

test.before(async () => {
  mkdirSync(join(project, 'data'), { recursive: true });
  mkdirSync(home);
  writeModel(join(project, 'model.onnx'));
  for (const [seed, split] of ['train', 'calibration', 'test'].entries())
    await placeSamples(join(project, 'data', split), seed + 1);
  for (const file of readdirSync(join(project, 'data')))
    if (file.endsWith('.onnx')) rmSync(join(project, 'data', file));
  const config = JSON.parse(read('offramp.config.json'));
  const small = { ...config.compile, epochs: 6, threads: 1 };
  writeFileSync(join(project, 'offramp.config.json'), JSON.stringify({ ...config, compile: small }));
  cpSync(packed(), join(project, 'onnx-offramp.tgz'));
  const devDependencies = { 'onnx-offramp': 'file:onnx-offramp.tgz' };
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({ name: 'app', private: true, devDependencies }),
  );
  must(
    run(project, 'npm', ['install', '--package-lock-only', '--prefer-offline', '--no-audit', '--no-fund']),
  );
});

test.after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `command` as a step does, in a home of its own; npm keeps its cache. */
function shell(command: string) {
  const npm = {
    npm_config_cache: must(run(ROOT, 'npm', ['config', 'get', 'cache'])).trim(),
    npm_config_prefer_offline: 'true',
  };
  const { XDG_CACHE_HOME: _, ...rest } = process.env;
  return run(project, 'bash', ['-e', '-o', 'pipefail', '-c', command], {
    ...rest,
    ...npm,
    ...env,
    HOME: home,
    CI: 'true',
  });
}

/** The steps that run when an exact cache was found, or not: what their `if` says. */
const stepsWhere = (found: boolean) =>
  steps.filter(({ if: condition }) => {
    if (condition === undefined || condition === 'always()') return true;
    assert.match(condition, /^(always\(\) && )?steps\.earlier\.outputs\.cache-hit != 'true'$/);
    return !found;
  });

/** Runs the commands of `list` in order, up to the first that fails; which that was, and what it said. */
function runSteps(list: readonly Step[], change = lax) {
  const ran: string[] = [];
  for (const { run: command } of list) {
    if (command === undefined) continue;
    assert.not.match(command, '${{', 'what is put in by GitHub is not seen here');
    ran.push(command);
    const { status, stderr } = shell(change(command));
    if (status !== 0) return { ran, status, stderr };
  }
  return { ran, status: 0, stderr: '' };
}

test('the workflow: every step ends well where the model is good enough, and leaves what is kept', () => {
  const { ran, status, stderr } = runSteps(stepsWhere(false));
  assert.is(status, 0, stderr);
  assert.is(ran.length, 5);
  const kept = steps.filter(({ uses = '' }) => /^actions\/(cache|upload-artifact)/.test(uses));
  assert.is(kept.length, 3);
  for (const path of kept.flatMap((step) => String(step.with!.path).trim().split('\n')))
    assert.ok(existsSync(path.startsWith('~') ? path.replace('~', home) : join(project, path)), path);
  const [restored, saved] = kept;
  assert.is(restored!.with!.path, saved!.with!.path);
  const hashed = [...String(restored!.with!.key).matchAll(/'([^'*]+)(?:\/\*\*)?'/g)].map(([, path]) => path!);
  assert.equal(hashed, ['model.onnx', 'data', 'offramp.config.json', 'package-lock.json']);
  for (const path of hashed) assert.ok(existsSync(join(project, path)), path);
  const metrics = JSON.parse(readFileSync(join(project, 'metrics.json'), 'utf8'));
  assert.type(metrics['balanced/accuracy'], 'number');
  assert.type(JSON.parse(readFileSync(join(project, 'comparison.json'), 'utf8')).latency, 'number');
});

test('the workflow: with the package of an earlier run nothing is compiled, and a bound that is broken ends it with 1 and says why', () => {
  const written = readFileSync(join(project, 'out/manifest.json'), 'utf8');
  const strict = (command: string) => lax(command).replace('cost > 0.95', 'cost > 0.01');
  const { ran, status, stderr } = runSteps(stepsWhere(true), strict);
  assert.is(status, 1);
  assert.match(ran.at(-1)!, 'evaluate');
  assert.not.ok(ran.some((command) => command.includes('compile')));
  assert.match(stderr, /^offramp: balanced has cost \d\.\d+ \(cost > 0\.01\) \[gate-failed\]\n {2}\S/m);
  assert.is(readFileSync(join(project, 'out/manifest.json'), 'utf8'), written);
});

test('the workflow: a package that was changed by hand ends it with 1', () => {
  const stub = join(project, 'out/index.ts');
  const before = readFileSync(stub, 'utf8');
  writeFileSync(stub, `${before}\n// mine\n`);
  const { ran, status, stderr } = runSteps(stepsWhere(true));
  assert.is(status, 1);
  assert.match(ran.at(-1)!, 'emit out/ --check');
  assert.match(stderr, '[package-differs]');
  writeFileSync(stub, before);
});

test('DVC: its commands run in order, from what they depend on to what they make', () => {
  const { stages } = parse(read('dvc.yaml')) as {
    stages: Record<
      string,
      { cmd: string; deps: string[]; outs?: string[]; metrics?: Record<string, unknown>[] }
    >;
  };
  rmSync(join(project, 'out'), { recursive: true });
  rmSync(join(project, 'metrics.json'));
  for (const { cmd, deps, outs = [], metrics = [] } of Object.values(stages)) {
    for (const path of deps) assert.ok(existsSync(join(project, path)), path);
    must(shell(lax(cmd)));
    for (const path of [...outs, ...metrics.flatMap(Object.keys)])
      assert.ok(existsSync(join(project, path)), path);
  }
  const figures = Object.values(JSON.parse(readFileSync(join(project, 'metrics.json'), 'utf8')));
  assert.ok(figures.length > 5 && figures.every(Number.isFinite), 'DVC and MLflow take numbers');
});

test('the Dockerfile: what it installs runs as its entry point, in the mounted folder, and writes nowhere else', () => {
  const image = join(folder, 'image');
  const [work, nobody] = [join(folder, 'work'), join(folder, 'nobody')];
  mkdirSync(work);
  cpSync(join(project, 'model.onnx'), join(work, 'model.onnx'));
  const { XDG_CACHE_HOME: _, ...rest } = process.env;
  // npm's cache is one of its own, for the image's is emptied.
  const own = { npm_config_prefix: image, npm_config_cache: join(folder, 'npm'), HOME: home, PATH: `${image}/bin:${process.env.PATH}` };
  let inside: NodeJS.ProcessEnv = { ...rest, ...own };
  let directory = '/';
  let entry: string[] = [];
  const seen: string[] = [];
  const here = (path: string) => path.replace(/^\/work(?=\/|$)/, work);
  for (const [, word, words] of read('Dockerfile').matchAll(/^([A-Z]+) (.*)$/gm)) {
    seen.push(word!);
    if (word === 'ENV') {
      const [name, value] = words!.split('=');
      inside = { ...inside, [name!]: here(value!) };
    } else if (word === 'RUN') {
      must(run(folder, 'sh', ['-c', words!.replace(/(?<= )onnx-offramp\b/, packed())], inside));
    } else if (word === 'WORKDIR') directory = here(words!);
    else if (word === 'USER') assert.is(words, 'node');
    else if (word === 'ENTRYPOINT') entry = JSON.parse(words!) as string[];
    else if (word === 'CMD') assert.match(must(run(directory, entry[0]!, JSON.parse(words!), inside)), 'compile <model>');
    else assert.is(`${word} ${words}`, 'FROM node:24-slim');
  }
  assert.equal([...new Set(seen)].sort(), ['CMD', 'ENTRYPOINT', 'ENV', 'FROM', 'RUN', 'USER', 'WORKDIR']);
  assert.is(directory, work);
  const data = ['train', 'calibration', 'test'].flatMap((split) => [`--${split}`, 'random:64']);
  const words = ['compile', 'model.onnx', ...data, '--out', 'out', '--epochs', '1', '--threads', '1', '--no-timing'];
  must(run(directory, entry[0]!, words, { ...inside, HOME: nobody }));
  assert.equal(readdirSync(work).sort(), ['.cache', 'model.onnx', 'out']);
  assert.not.ok(existsSync(nobody));
}); // biome-ignore format: rows

test.run();
