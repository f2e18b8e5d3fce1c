/** What a split is, in words. */
import type { WrittenSplit } from '../commands/split.ts';
import { formatTable, percent } from './tables.ts';

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(bytes < 1e6 ? 2 : 1)} MB`;

/** `out`: where it was written. */
export function formatSplit(result: WrittenSplit, out: string): string {
  const { client, server, sends, bytes, points, verified, loss } = result;
  const dims = (sizes: readonly (number | 'N')[]) => `[${sizes.join(', ')}]`;
  const sent = sends.map(
    ({ name, dataType, dims: sizes, role }) => `${name} ${dataType} ${dims(sizes)} (${role})`,
  );
  const lossAt = (name: string) => loss?.points[name];
  const header = [
    '',
    ...(client ? ['stays'] : []),
    ...(loss ? ['accuracy', 'whole', 'changed'] : []),
    'served as',
  ];
  const rows = points.map(({ name, stays, served }) => {
    const found = lossAt(name);
    const cells = found ? [found.accuracy, found.accuracyWhole, found.changed] : [];
    return [name, ...(client ? [percent(stays, 1)] : []), ...cells.map((share) => percent(share)), served];
  });
  const total = server.models.reduce((sum, { modelBytes }) => sum + modelBytes, 0);
  const exact =
    verified.deviation === 0
      ? 'bit for bit'
      : `scores within ${verified.deviation.toExponential(1)} of the largest`;
  return [
    `Written to ${out}:`,
    ...(client
      ? [`  ${client.folder}: a package that ends at ${client.after}, ${megabytes(client.modelBytes)}`]
      : []),
    `  ${server.folder}: a model repository of ${server.models.length} ${server.models.length === 1 ? 'model' : 'models'}, ${megabytes(total)}`,
    '',
    formatTable([header, ...rows]),
    '',
    `A sample that is asked sends ${bytes.toLocaleString('en')} bytes: ${sent.join(', ')}.`,
    `Verified: ${client ? 'client and server' : 'the server'} gave ${verified.answers.toLocaleString('en')} answers as the whole model does, ${exact}${loss ? ', before rounding' : ''}.`,
    ...(loss
      ? [
          `Rounding changed ${percent(loss.changed)} of ${loss.samples.toLocaleString('en')} answers where it changed most; "whole" is the accuracy without it.`,
        ]
      : []),
  ].join('\n');
}
