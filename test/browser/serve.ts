import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { build, type InlineConfig, preview } from 'vite';

export interface Served {
  readonly url: string;
  close(): Promise<void>;
}

/** Builds the Vite project of `config` and serves what came out, on a free port of this machine. */
export async function buildAndServe(config: InlineConfig): Promise<Served> {
  const quiet: InlineConfig = { ...config, logLevel: 'warn' };
  await build(quiet);
  return serve(quiet);
}

/** Serves what is in `build.outDir` of `config`, on a free port of this machine: its page wherever there is no such file. */
export async function serve(config: InlineConfig): Promise<Served> {
  const server = await preview({ ...config, preview: { ...config.preview, host: '127.0.0.1', port: 0 } });
  return { url: server.resolvedUrls!.local[0]!, close: () => server.close() };
}

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

/** Serves the files of `folder` below `path`, which begins and ends with a slash, as a host does that knows nothing of the page. */
export async function serveFiles(
  folder: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Served> {
  const server = createServer(async ({ url = '' }, response) => {
    const asked = decodeURIComponent(url.split('?')[0]!);
    const file = asked.endsWith('/') ? `${asked}index.html` : asked;
    try {
      if (!file.startsWith(path)) throw new Error('elsewhere');
      const body = await readFile(join(folder, file.slice(path.length)));
      const type = TYPES[extname(file)] ?? 'application/octet-stream';
      response.writeHead(200, { 'Content-Type': type, ...headers }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  const close = () => {
    server.closeAllConnections();
    return new Promise<void>((closed) => server.close(() => closed()));
  };
  return { url: new URL(path, `http://127.0.0.1:${port}`).href, close };
}
