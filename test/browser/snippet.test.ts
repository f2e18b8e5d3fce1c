/** The README's code for a plain web page, run from the files that compile wrote; onnxruntime-web comes from node_modules instead of a CDN. */
import { createReadStream, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Answer, emittedSubject } from '../emitted-subject.ts';
import { openChromium } from './chromium.ts';
import { ROOT } from './subjects.ts';

const test = suite('browser: a page without a build step');
const browser = await openChromium();
const inBrowser = browser ? test : test.skip;
const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};
const CDN = /^https:\/\/cdn\.jsdelivr\.net\/npm\/(onnxruntime-web)@([\d.]+)\/(dist\/[\w.-]+)$/;

test.after(() => browser?.close());

inBrowser('answers as the package does in Node, with zeros and with samples', async () => {
  const subject = await emittedSubject('page');
  const server = createServer(({ url = '' }, response) => {
    const path = join(subject.folder, url);
    if (!existsSync(path)) return response.writeHead(404).end();
    response.setHeader('Content-Type', TYPES[extname(path)] ?? 'application/octet-stream');
    createReadStream(path).pipe(response);
    return undefined;
  }).listen(0, '127.0.0.1');
  const zeros = subject.code('html');
  const samples = zeros
    .replace('new Float32Array(192)', "new Float32Array(await (await fetch('samples.bin')).arrayBuffer())")
    .replace('[1, 3, 8, 8]', '[60, 3, 8, 8]');
  assert.not.equal(samples, zeros);
  const answersOf = async (name: string, html: string): Promise<Answer[]> => {
    writeFileSync(join(subject.folder, name), `<!doctype html><link rel="icon" href="data:,">\n${html}`);
    const page = await browser!.newPage();
    const asked: string[] = [];
    const told = new Promise<[number[], string[]]>((done, fail) => {
      page.on('pageerror', fail);
      page.on('console', async (message) => {
        if (message.type() !== 'log') return fail(new Error(message.text()));
        const [scores, exits] = await Promise.all(
          message.args().map((arg) => arg.evaluate((array) => Array.from(array as number[], String))),
        );
        return done([scores!.map(Number), exits!]);
      });
    });
    await page.route(CDN, (route) => {
      const [, name, version, file] = CDN.exec(route.request().url())!;
      asked.push(version!);
      const path = join(ROOT, 'node_modules', name!, file!);
      const headers = { 'Access-Control-Allow-Origin': '*' };
      const contentType = file!.endsWith('.wasm') ? 'application/wasm' : 'text/javascript';
      return route.fulfill({ path, headers, contentType });
    });
    const { port } = server.address() as AddressInfo;
    await page.goto(`http://127.0.0.1:${port}/${name}`);
    const [scores, exits] = await told;
    const { version } = JSON.parse(
      readFileSync(join(ROOT, 'node_modules/onnxruntime-web/package.json'), 'utf8'),
    );
    assert.equal([...new Set(asked)], [version]);
    await page.close();
    const classes = scores.length / exits.length;
    return exits.map((exit, n) => {
      const row = scores.slice(n * classes, (n + 1) * classes);
      return { index: row.indexOf(Math.max(...row)), exit: Number(exit) };
    });
  };
  try {
    assert.equal(await answersOf('zeros.html', zeros), subject.toZeros);
    assert.equal(await answersOf('samples.html', samples), subject.answers);
  } finally {
    server.close();
    subject.remove();
  }
});

test.run();
