/** The networks of a project: those that stand in front, each opened by itself, and the original. */
import type { Events } from '../errors/events.ts';
import { info } from '../errors/notes.ts';
import { opsetOf } from '../graph/types.ts';
import { alignOpsets } from '../model/align-opsets.ts';
import type { Inspected } from '../model/inspect.ts';
import { type Chain, chainOf, type Network } from '../networks/chain.ts';
import {
  type FirstOptions,
  type OpenedFirst,
  type OriginalReader,
  openFirst,
} from '../networks/open-first.ts';
import type { SessionOptions } from '../ort/session.ts';
import { type LoadedModel, loadModel } from '../parser/index.ts';
import { endExit } from '../passes/end-exit.ts';
import type { Head } from '../passes/exits.ts';

/** A network in front, as options name it, with its file read. */
export interface FirstSource {
  readonly options: FirstOptions;
  readonly source: LoadedModel;
}

/** Reads the files of networks in front, in order. */
export async function loadFirsts(first: readonly (string | FirstOptions)[] = []): Promise<FirstSource[]> {
  const loaded: FirstSource[] = [];
  for (const one of first) {
    const options = typeof one === 'string' ? { model: one } : one;
    loaded.push({ options, source: await loadModel(options.model, options.externalDataFolder) });
  }
  return loaded;
}

/** The chain of `firsts` and the original, which has `heads`. Notes go to `events`. */
export async function openChain(
  firsts: readonly FirstSource[],
  original: { readonly inspection: Inspected; readonly heads: readonly Head[]; readonly file: string } & Pick<
    OriginalReader,
    'inputs' | 'preprocessing' | 'options'
  >,
  session: SessionOptions,
  events: Events,
): Promise<Chain> {
  const { inspection } = original;
  const opset = opsetOf(inspection.typed.model);
  const networks: Network[] = [];
  for (const [n, { options, source }] of firsts.entries()) {
    const id = `first_${n + 1}`;
    const reader = { ...original, typed: inspection.typed, source: inspection.source };
    const opened = await openFirst(options, { id, source, original: reader, opset, session });
    for (const note of notesOn(opened, inspection)) events.onNote?.(note);
    networks.push({ ...opened, heads: [endExit(opened.plan, { id: `exit_${n + 1}`, network: n })] });
  }
  const { source, hash, typed, plan } = inspection;
  const { file, heads } = original;
  return chainOf(
    await aligned([...networks, { id: 'original', file, source, hash, typed, plan, heads }], session),
  );
}

/** `networks` with the same version of every operator set; the very same where there is one. */
export async function aligned(
  networks: readonly Network[],
  session: SessionOptions,
): Promise<readonly Network[]> {
  if (networks.length === 1) return networks;
  const { models } = await alignOpsets(
    networks.map(({ file, typed, source }) => ({
      name: file,
      model: typed.model,
      options: { session: { ...session, externalDataFolder: source.folder } },
    })),
  );
  return networks.map((network, n) => ({ ...network, typed: { ...network.typed, model: models[n]! } }));
}

function notesOn({ file, plan, inspection }: OpenedFirst, { plan: { totalMacs } }: Inspected) {
  const share = plan.totalMacs / totalMacs;
  return [
    ...inspection.notes.map((note) => ({ ...note, message: `${file}: ${note.message}` })),
    ...(share < 1
      ? []
      : [
          info(
            'first-costs-more',
            `First network ${file} costs ${share.toFixed(2)} of the original: samples that leave there save nothing.`,
          ),
        ]),
  ];
}
