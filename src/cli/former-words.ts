/** What options and their values were called before; those words still work, on the command line and in offramp.config.json. */
const FORMER: Readonly<
  Record<string, { readonly name: string; readonly values?: Readonly<Record<string, string>> }>
> = {
  prove: { name: 'verify' },
  last: { name: 'final', values: { joined: 'ensembled' } },
};
const isFormer = (name: string) => Object.hasOwn(FORMER, name);

/** `words` of a command line with today's names: `--last joined` is `--final ensembled`. What follows `--` is left alone. */
export function renewWords(words: readonly string[]): string[] {
  const end = words.includes('--') ? words.indexOf('--') : words.length;
  const renewed = words.slice(0, end).flatMap((word, i, all) => {
    const [, name = '', value] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    if (isFormer(name))
      return [`--${FORMER[name]!.name}${value === undefined ? '' : `=${renewValue(name, value)}`}`];
    const before = /^--(.+)$/.exec(all[i - 1] ?? '')?.[1] ?? '';
    return [isFormer(before) ? String(renewValue(before, word)) : word];
  });
  return [...renewed, ...words.slice(end)];
}

/** The same for a file with options: those of all commands and those of each. */
export const renewSettings = (settings: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(settings).map(([name, value]) => {
      // Beside today's word the former one is left, and refused as a name that is not known.
      if (isFormer(name) && !Object.hasOwn(settings, FORMER[name]!.name))
        return [FORMER[name]!.name, renewValue(name, value)];
      const isSection = value !== null && typeof value === 'object' && !Array.isArray(value);
      return [name, isSection ? renewSettings(value) : value];
    }),
  );

const renewValue = (name: string, value: unknown) =>
  (typeof value === 'string' ? FORMER[name]!.values?.[value] : undefined) ?? value;
