/** What the page has for the client of a split: whom it asks, a switch that cuts the network off, and what has travelled. */
import { percent } from './card.ts';
import { switchNetwork, traffic } from './model.ts';
import { preprocessing, type Result } from './package.ts';

/** Where examples/node-server listens unless it is told otherwise. */
const USUAL = 'http://localhost:8080';

const find = <E extends HTMLElement>(selector: string): E => document.querySelector<E>(selector)!;

/** Shows the server that the page's URL names, or the build; returns it. The field is a form's: another server is another URL of the page. */
export function serverNamed(): string {
  const asked = new URLSearchParams(location.search).get('server');
  const server = asked || import.meta.env.OFFRAMP_SERVER || USUAL;
  find('#promise').textContent =
    'Pictures that it is not sure of here are sent to a server, which has the rest of the model.';
  find<HTMLInputElement>('#server').value = server;
  find('#split').hidden = false;
  return server;
}

/** Calls `askAgainWhere` when the network is cut off, for what the server has answered, and when it may be back, for what it has not. */
export function watchNetwork(
  askAgainWhere: (isOutdated: (result: Result) => boolean) => Promise<void>,
): void {
  const cut = find<HTMLInputElement>('#cut');
  cut.disabled = false;
  cut.addEventListener('change', async () => {
    await switchNetwork(!cut.checked);
    await askAgainWhere(cut.checked ? ({ where }) => where === 'server' : isInStead);
  });
  addEventListener('online', () => askAgainWhere(isInStead));
}

/** Whether the server was asked and did not answer. */
const isInStead = ({ where }: Result): boolean => where !== 'client' && where !== 'server';

/** The share of `results` that the server was not asked for, and what that is, in words. */
export function stayed(results: readonly Result[]): [share: number, words: string] {
  const count = (is: (result: Result) => boolean) => results.filter(is).length;
  const here = count(({ where }) => where === 'client');
  const inStead = count(isInStead);
  const missing = inStead > 0 ? ` The server did not answer for ${inStead}, so they were answered here.` : '';
  return [
    here / results.length,
    ` stayed: ${here} of ${results.length} pictures were answered here, without asking.${missing}`,
  ];
}

/** Since the page was opened, the camera's pictures too. */
export async function showTraffic(): Promise<void> {
  const { samples, asked, unanswered, bytesSent, problem } = await traffic();
  // A picture at the model's size, one byte a channel.
  const picture = preprocessing.width * preprocessing.height * preprocessing.mean.length;
  say('.samples', samples);
  say('.stayed', samples - asked);
  say('.asked', asked);
  say('.unanswered', unanswered);
  say('.sent', bytesSent, `${(bytesSent / 1000).toFixed(1)} kB`);
  // What nobody answered saves nothing.
  const served = samples - unanswered;
  const saved = served > 0 ? 1 - bytesSent / (served * picture) : 0;
  say('.saved', saved, served > 0 ? percent(saved) : '–');
  find('#refusal').textContent =
    problem === undefined ? '' : `The last time it was not answered: ${problem}.`;
}

function say(selector: string, value: number, text = String(value)): void {
  const data = find<HTMLDataElement>(`#traffic ${selector}`);
  data.value = String(value);
  data.textContent = text;
}
