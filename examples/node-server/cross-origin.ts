/** Which pages of other origins may ask: https://developer.mozilla.org/en-US/docs/Web/HTTP/Guides/CORS */
import type { IncomingMessage } from 'node:http';
import { Refusal } from './limits.ts';
import type { Reply } from './routes.ts';

/** What scripts may read of an answer, beside what they always may. */
const EXPOSED = 'Inference-Header-Content-Length, Retry-After';
/** Seconds that a browser need not ask again. */
const MAX_AGE = '600';

export class CrossOrigin {
  readonly #allowed: readonly string[];

  /** Origins such as `https://example.org`; `*` is all of them. */
  constructor(allowed: readonly string[]) {
    this.#allowed = allowed;
  }

  /** For every answer to `request`. */
  headers({ headers: { origin } }: IncomingMessage): Readonly<Record<string, string>> {
    if (this.#allowed.length === 0) return {};
    if (origin === undefined || !this.#allows(origin)) return { Vary: 'Origin' };
    return {
      Vary: 'Origin',
      'Access-Control-Allow-Origin': origin,
      'Access-Control-Expose-Headers': EXPOSED,
    };
  }

  /** The answer to a browser that asks whether it may ask; undefined to everybody else. Throws a Refusal when it may not. */
  preflight({ method, headers }: IncomingMessage): Reply | undefined {
    const {
      origin = '',
      'access-control-request-method': asked,
      'access-control-request-headers': sends,
    } = headers;
    if (method !== 'OPTIONS' || asked === undefined || this.#allowed.length === 0) return undefined;
    if (!this.#allows(origin)) throw new Refusal(403, `pages of ${origin} may not ask here`);
    const allowed = {
      'Access-Control-Allow-Methods': 'GET, HEAD, POST',
      'Access-Control-Max-Age': MAX_AGE,
      // Its own headers are for what stands in front of this server, a proxy that asks for a token.
      ...(sends !== undefined && { 'Access-Control-Allow-Headers': sends }),
    };
    return { type: 'text/plain', body: '', headers: allowed };
  }

  #allows(origin: string): boolean {
    return this.#allowed.includes('*') || this.#allowed.includes(origin);
  }
}
