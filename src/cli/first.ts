/** Networks in front of the model: the k-th `--first-…` belongs to the k-th `--first`. */
import { badOption } from '../errors/index.ts';
import type { FirstOptions } from '../networks/open-first.ts';
import { camelCase } from './spelling.ts';

type Network = string | FirstOptions;

/** `--first` of `args` with what is said of each. Throws `bad-option` where something is said of some of them only. */
export function firstsOf(args: {
  readonly first: readonly Network[] | undefined;
}): readonly Network[] | undefined {
  const { first } = args;
  let firsts = first;
  for (const [flag, values] of Object.entries(args)) {
    if (!/^first-/.test(flag) || values === undefined) continue;
    const each = values as readonly unknown[];
    const count = first?.length ?? 0;
    if (each.length !== count)
      throw badOption(
        `--${flag}`,
        each.join(' '),
        count === 0 ? 'it with --first' : `it once for each --first, of which there are ${count}`,
      );
    const name = camelCase(flag.slice('first-'.length));
    firsts = firsts!.map((one, n) => ({
      ...(typeof one === 'string' ? { model: one } : one),
      [name]: each[n],
    }));
  }
  return firsts;
}
