/** Compiled packages as an app has them: packed, installed into an empty project, run there by Node and by Chromium. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hasSharedData } from '../shared.ts';
import { openChromium, openPage } from './chromium.ts';
import { type Answers, assertSameAnswers } from './compare.ts';
import { type Evaluated, evaluated } from './evaluated.ts';
import { buildAndServe } from './serve.ts';
import { cifar, drawn, PICTURES, ROOT } from './subjects.ts';

const test = suite('browser: packed packages');
const browser = await openChromium();
const folder = mkdtempSync(join(tmpdir(), 'offramp-browser-'));
const inBrowser = browser ? test : test.skip;
const SUBJECTS = { 'drawn pictures': drawn, ...(hasSharedData() && { 'CIFAR-10': cifar }) };

test.after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

for (const [name, make] of Object.entries(SUBJECTS)) {
  const project = join(folder, name, 'project');
  /** What `evaluate` says, and the hash of the pixels that it says it about. */
  let expected: Evaluated & { readonly pixels: string };

  test(`${name}: the package is packed and installed`, async () => {
    const subject = await make(join(folder, name));
    const said = await evaluated(subject, join(folder, 'cache'));
    const taken = new Set(Object.values(said.answers).flatMap((list) => list.map(({ exit }) => exit)));
    assert.ok(taken.size > 2, 'pictures leave early, later and at the end');
    install(subject.folder, project);
    expected = { ...said, pixels: await placePictures(subject.pictures, project) };
  });

  test(`${name}: Node gives evaluate's answers`, () => {
    const answers = JSON.parse(run(project, process.execPath, ['node.js'])) as Answers;
    report(`${name}, Node`, assertSameAnswers(answers, expected.answers, expected.points));
  });

  inBrowser(
    `${name}: Chromium decodes the pictures to the same bytes and gives evaluate's answers`,
    async () => {
      const outDir = join(folder, name, 'dist');
      const served = await buildAndServe({
        root: project,
        configFile: false,
        build: { outDir, emptyOutDir: false },
      });
      const { page, complaints } = await openPage(browser!, served.url);
      const done = (await page.evaluate('window.done')) as { pixels: number[]; answers: Answers };
      assert.equal(complaints, []);
      assert.is(Buffer.from(done.pixels).toString('hex'), expected.pixels);
      report(`${name}, Chromium`, assertSameAnswers(done.answers, expected.answers, expected.points));
      await page.close();
      await served.close();
    },
  );
}

test.run();

function report(who: string, found: string): void {
  console.log(`\n    ${who}: ${found}`);
}

/** Packs the package in `compiled` and installs it into an empty project, beside code that uses it as its README says. */
function install(compiled: string, project: string): void {
  cpSync(fileURLToPath(new URL('project', import.meta.url)), project, { recursive: true });
  writeFileSync(join(project, 'package.json'), '{ "name": "empty", "private": true, "type": "module" }\n');
  const [imported, name] = readFileSync(join(compiled, 'README.md'), 'utf8').match(
    /^import \{ (\w+) \} from .*$/m,
  )!;
  writeFileSync(join(project, 'model.js'), `${imported}\nexport { ${name} as Model };\n`);
  run(project, 'npm', ['pack', compiled]);
  const tarball = readdirSync(project).find((file) => file.endsWith('.tgz'));
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const runtimes = Object.entries({ ...dependencies, ...devDependencies })
    .filter(([runtime]) => /^onnxruntime-(node|web)$/.test(runtime))
    .map(([runtime, version]) => `${runtime}@${version}`);
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  run(project, 'npm', ['install', ...flags, `./${tarball}`, ...runtimes]);
}

/**
 * Puts the picture files where the page finds them, and their pixels where Node does; returns the pixels' SHA-256. The order
 * is the one of `evaluate`: sorted by class, then by name.
 */
async function placePictures(pictures: string, project: string): Promise<string> {
  cpSync(pictures, join(project, 'public'), { recursive: true });
  const files = readdirSync(pictures, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(pictures, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .sort();
  assert.ok(files.length >= PICTURES);
  const decoded = await Promise.all(
    files.map((file) =>
      sharp(join(pictures, file), { ignoreIcc: true })
        .ensureAlpha()
        .raw()
        .toBuffer({ resolveWithObject: true }),
    ),
  );
  const { width, height } = decoded[0]!.info;
  writeFileSync(join(project, 'public/pictures.json'), JSON.stringify({ files, width, height }));
  const rgba = Buffer.concat(decoded.map(({ data }) => data));
  writeFileSync(join(project, 'pixels.rgba'), rgba);
  return createHash('sha256').update(rgba).digest('hex');
}

/** What the command prints. Fails unless it ends well. */
function run(cwd: string, command: string, args: readonly string[]): string {
  const options = { cwd, encoding: 'utf8', maxBuffer: 2 ** 26, shell: process.platform === 'win32' } as const;
  const { status, stdout, stderr, error } = spawnSync(command, args, options);
  if (status !== 0) assert.unreachable(`${command} ${args.join(' ')}: ${error ?? ''}\n${stdout}\n${stderr}`);
  return stdout;
}
