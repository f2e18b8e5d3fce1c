/** The networks of a chain for a terminal: what each costs, how it is fed, and its exits. */
import type { InspectedExit, InspectedNetwork } from '../commands/inspect.ts';
import type { Preprocessing } from '../data/index.ts';
import { costPercent, macs } from '../report/numbers.ts';
import { formatTable } from './tables.ts';

/** A row for each network, in the order samples meet them, and what the columns leave out below. */
export function chainTable(networks: readonly InspectedNetwork[]): string {
  const rows = networks.map(({ file, classes, macs: own, relativeCost, exits }, n) => [
    `${n + 1}. ${file}`,
    String(classes),
    macs(own),
    costPercent(relativeCost),
    exits.map(exitIn).join(', ') || '–',
  ]);
  const fed = networks.map(({ preprocessing, adapter }, n) => {
    const made = adapter.length === 0 ? '' : `; made from the model's input by ${adapter.join(', ')}`;
    return `${n + 1}. reads ${inputIn(preprocessing)}${made}`;
  });
  return [formatTable([['network', 'classes', 'MACs', 'share', 'exits'], ...rows]), ...fed].join('\n');
}

const exitIn = ({ id, head, tap, headMacs }: InspectedExit): string =>
  head === 'end' ? `${id} at its end` : `${id} at ${tap.value} +${macs(headMacs)}`;

/** `pixels / 255, mean 0.485 0.456 0.406, std 0.229 0.224 0.225, NCHW, rgb` */
function inputIn({ scale, mean, std, layout, channels, resize }: Preprocessing): string {
  const listed = (name: string, values: readonly number[], neutral: number) =>
    values.every((value) => value === neutral) ? [] : [`${name} ${values.join(' ')}`];
  return [
    scale === 1 ? 'numbers as they are stored' : `numbers / ${scale}`,
    ...listed('mean', mean, 0),
    ...listed('std', std, 1),
    ...(layout === 'flat' ? [] : [layout]),
    ...(channels === 'any' ? [] : [channels]),
    ...(resize ? [resize] : []),
  ].join(', ');
}
