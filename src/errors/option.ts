/**
 * How messages name an option: as the API has it, in backticks, with the value if one is suggested. The command line shows its flag
 * instead (`cli/spelling.ts`).
 */

/** `` `output` ``, or `` `first[].output` `` of a network in front; with a value, as JavaScript writes it, `` `threads: 1` ``. */
export const option = (name: string, value?: string): string =>
  value === undefined ? `\`${name}\`` : `\`${name}: ${value}\``;

/** With a text as the value: `` `output: 'scores'` ``. */
export const optionText = (name: string, text: string): string => option(name, `'${text}'`);

/** With an object as the value: `` `dims: { height: 1 }` ``. */
export const optionFields = (
  name: string,
  fields: readonly (readonly [key: string, value: string])[],
): string => {
  const keyOf = (key: string) => (/^[A-Za-z_]\w*$/.test(key) ? key : `'${key}'`);
  return option(name, `{ ${fields.map(([key, value]) => `${keyOf(key)}: ${value}`).join(', ')} }`);
};
