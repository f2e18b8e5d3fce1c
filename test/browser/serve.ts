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
