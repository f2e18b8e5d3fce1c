/** What a path leads to. */
import type { IncomingMessage } from 'node:http';
import { Refusal } from './limits.ts';

export interface Reply {
  readonly type: string;
  readonly body: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Route {
  /** Of `{name}` stands for one part of a path that may be anything. */
  readonly path: string;
  readonly method: 'GET' | 'POST';
  /** `named`: what stands in the path where `path` has names. Throws or rejects with a Refusal for what is not to be had. */
  readonly reply: (request: IncomingMessage, query: URLSearchParams, named: Named) => Reply | Promise<Reply>;
}

type Named = Readonly<Record<string, string>>;

export const json = (value: object): Reply => ({
  type: 'application/json',
  body: `${JSON.stringify(value)}\n`,
});

/** What `routes` have for `request`. Throws a Refusal: 404 where none has its path, 405 where none has its method. */
export function replyTo(routes: readonly Route[], request: IncomingMessage): Reply | Promise<Reply> {
  const [path, query] = request.url!.split('?') as [string, string?];
  for (const route of routes) {
    const named = matched(route.path, path);
    if (!named) continue;
    // Node leaves the body of an answer to HEAD out by itself.
    const allowed = route.method === 'GET' ? ['GET', 'HEAD'] : [route.method];
    if (!allowed.includes(request.method!))
      throw new Refusal(405, `${path} takes ${allowed.join(' and ')}`, { Allow: allowed.join(', ') });
    return route.reply(request, new URLSearchParams(query), named);
  }
  throw new Refusal(404, `no ${path}; there are ${routes.map((route) => route.path).join(', ')}`);
}

function matched(pattern: string, path: string): Named | undefined {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.length !== given.length) return undefined;
  const named: Record<string, string> = {};
  for (const [n, part] of wanted.entries()) {
    const name = /^\{(\w+)\}$/.exec(part)?.[1];
    if (name !== undefined) named[name] = decoded(given[n]!);
    else if (part !== given[n]) return undefined;
  }
  return named;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Refusal(400, `${part} is no part of a URL`);
  }
}
