/** What the pages in the tarball point to is in the tarball. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Links and pictures of Markdown, and of HTML in it. */
const LINK = /\]\(([^)\s]+)[^)]*\)|\b(?:href|src|srcset)="([^"\s]+)/g;
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

const test = suite('pack: links');
const packed = filesPacked();
const folders = new Set(packed.flatMap(foldersOf));
const pages = packed.filter((path) => path.endsWith('.md'));

test('relative links of pages lead to what is packed', () => {
  for (const page of ['README.md', 'docs/guide.md', 'docs/build-steps.md'])
    assert.ok(pages.includes(page), page);
  const links = pages.flatMap((page) => linksOf(page).map(([target]) => [page, target] as const));
  assert.ok(links.length > 20);
  const broken = links.filter(([, target]) => !packed.includes(target) && !folders.has(target));
  assert.equal(
    broken.map(([page, target]) => `${page}: ${target}`),
    [],
  );
});

test('links into a page lead to a heading of it', () => {
  const broken = pages.flatMap((page) =>
    linksOf(page)
      .filter(([target, anchor]) => anchor && target.endsWith('.md') && !anchorsOf(target).has(anchor))
      .map(([target, anchor]) => `${page}: ${target}#${anchor}`),
  );
  assert.equal(broken, []);
});

test('models, data and sources of tests are not packed', () => {
  assert.equal(
    packed.filter((path) => /\.(onnx|npz|parquet)$|^(src|test|golden|scripts|bench\/.*\.ts)/.test(path)),
    [],
  );
});

test.run();

function filesPacked(): string[] {
  const { stdout, stderr } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: ROOT,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  try {
    // npm 11 and older: a list; later ones: by name.
    const [about] = Object.values(JSON.parse(stdout)) as [{ files: { path: string }[] }];
    return about.files.map(({ path }) => path);
  } catch {
    throw new Error(`npm pack: ${stdout}${stderr}`);
  }
}

function foldersOf(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'));
}

/** [file, anchor] of every relative link, the file relative to the package. */
function linksOf(page: string): [string, string][] {
  const text = read(page).replace(/^```[\s\S]*?^```$/gm, '');
  return [...text.matchAll(LINK)]
    .map(([, markdown, html]) => (markdown ?? html)!)
    .filter((link) => !/^[a-z]+:/.test(link))
    .map((link) => {
      const [path, anchor = ''] = link.split('#') as [string, string?];
      const target = path === '' ? page : posix.join(posix.dirname(page), path);
      return [target.replace(/\/$/, ''), anchor];
    });
}

/** As GitHub makes them of headings. */
function anchorsOf(page: string): Set<string> {
  const headings = [...read(page).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading!);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/\s/g, '-'),
    ),
  );
}
