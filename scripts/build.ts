/**
 * Makes dist/: src/index.ts, src/cli/index.ts, the training worker and the process of trial runs bundled by esbuild, the modules that generated packages are
 * made of, the type declarations that index.ts reaches,
 * and what `require` gets.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, transformSync } from 'esbuild';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DIST = join(ROOT, 'dist');
const TYPES = join(DIST, 'types');
const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
};

/**
 * Packages that go into the bundle, and what of them must lie beside it. onnx-proto: as a dependency it would bring protobufjs 6, whatever
 * `overrides` says here. echarts with what it needs: 64 MB for the few of its charts that a report shows.
 */
const BUNDLED: Readonly<Record<string, readonly string[]>> = {
  'onnx-proto': ['LICENSE'],
  echarts: ['LICENSE', 'NOTICE', 'licenses/LICENSE-d3'],
  zrender: ['LICENSE'],
  tslib: [],
};

const IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)['"]([^'"]+)['"]/g;

rmSync(DIST, { recursive: true, force: true });
const exported = await bundle();
declareTypes();
writeCommonJs(exported);

/** Returns the names of what index.js exports. */
async function bundle(): Promise<readonly string[]> {
  const result = await build({
    absWorkingDir: ROOT,
    entryPoints: ['src/index.ts', 'src/cli/index.ts', 'src/train/worker.ts', 'src/ort/trial.ts'],
    outdir: 'dist',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    charset: 'utf8',
    legalComments: 'none',
    metafile: true,
    external: Object.keys(dependencies).flatMap((name) => [name, `${name}/*`]),
    // onnx-proto is CommonJS and requires protobufjs, which stays outside.
    banner: {
      js: "import { createRequire as offrampRequire } from 'node:module'; const require = offrampRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
  const bundled = Object.keys(result.metafile.inputs).flatMap((path) =>
    path.startsWith('node_modules/') ? [packageOf(path.split('node_modules/').at(-1)!)] : [],
  );
  const uninvited = [...new Set(bundled)].filter((name) => !(name in BUNDLED));
  if (uninvited.length) fail(`${uninvited.join(', ')} got bundled; add to dependencies or do not import it`);
  // src/emit/runtime-source.ts reads them as text.
  cpSync(join(ROOT, 'src/runtime'), join(DIST, 'runtime'), { recursive: true });
  for (const [name, files] of Object.entries(BUNDLED))
    for (const file of files)
      copyFileSync(join(ROOT, 'node_modules', name, file), join(DIST, `${name}.${basename(file)}`));
  for (const path of Object.keys(result.metafile.outputs)) {
    const file = join(ROOT, path);
    // Nobody reads it, and it is as large as all the rest.
    if (/^dist\/echarts-/.test(path))
      writeFileSync(file, transformSync(readFileSync(file, 'utf8'), { minify: true, charset: 'utf8' }).code);
    const bytes = statSync(file).size;
    console.log(`${path}  ${(bytes / 1024).toFixed(0)} KiB`);
  }
  return result.metafile.outputs['dist/index.js']!.exports;
}

/**
 * What `require` gets: the ES module, which every Node that Offramp runs on can require, under declarations that TypeScript accepts from a
 * CommonJS file. They name each value, since TypeScript takes only types out of an ES module there.
 */
function writeCommonJs(names: readonly string[]): void {
  const module = "'./types/src/index.js' with { 'resolution-mode': 'import' }";
  const declared = names.flatMap((name) => [
    `export declare const ${name}: typeof Module.${name};`,
    ...(/^[A-Z]/.test(name) ? [`export type ${name} = Module.${name};`] : []),
  ]);
  const declarations = [
    `import type * as Module from ${module};`,
    `export type * from ${module};`,
    ...declared,
  ];
  writeFileSync(join(DIST, 'index.cjs'), "module.exports = require('./index.js');\n");
  writeFileSync(join(DIST, 'index.d.cts'), `${declarations.join('\n')}\n`);
}

function declareTypes(): void {
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
  const args = [tsc, '-p', join(ROOT, 'scripts', 'tsconfig.build.json')];
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  if (status !== 0) fail('tsc could not write the type declarations');

  const reached = new Set<string>();
  const follow = (file: string) => {
    if (reached.has(file)) return;
    reached.add(file);
    for (const specifier of importsOf(readFileSync(file, 'utf8'))) {
      const where = relative(DIST, file);
      if (specifier.startsWith('.')) {
        const target = resolve(dirname(file), specifier.replace(/\.[jt]s$/, '.d.ts'));
        if (!existsSync(target)) fail(`dist/${where} imports ${specifier}, which has no declarations`);
        follow(target);
      } else if (!specifier.startsWith('node:') && !(packageOf(specifier) in dependencies)) {
        fail(`dist/${where} imports ${specifier}, which users do not have: keep it out of exported types`);
      }
    }
  };
  follow(join(TYPES, 'src', 'index.d.ts'));
  for (const path of readdirSync(TYPES, { recursive: true, encoding: 'utf8' })) {
    const file = join(TYPES, path);
    if (!path.endsWith('.d.ts')) continue;
    if (!reached.has(file)) rmSync(file);
    // `rewriteRelativeImportExtensions` leaves declarations alone.
    else
      writeFileSync(
        file,
        readFileSync(file, 'utf8').replace(IMPORT, (all) => all.replace(/\.ts(?=['"]$)/, '.js')),
      );
  }
  for (const path of readdirSync(TYPES, { recursive: true, encoding: 'utf8' }).reverse()) {
    const folder = join(TYPES, path);
    if (statSync(folder).isDirectory() && readdirSync(folder).length === 0) rmdirSync(folder);
  }
  console.log(`${reached.size} declaration files`);
}

function importsOf(text: string): string[] {
  return [...text.replace(/\/\*[\s\S]*?\*\//g, '').matchAll(IMPORT)].map((match) => match[1]!);
}

/** `@scope/name/deep/path` → `@scope/name`. */
function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

function fail(problem: string): never {
  console.error(`build: ${problem}`);
  process.exit(1);
}
