/** Writes schema/config.schema.json from the options of the command line: `npm run schema`. A test says when that was forgotten. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import yargs from 'yargs';
import { ruleOf } from '../src/cli/yargs-options.ts';
import { LIST } from '../src/commands/option-rules.ts';

/** What of yargs is asked here; its types leave it out. */
interface Described {
  getOptions(): {
    readonly key: Record<string, unknown>;
  };
  getGroups(): Record<string, readonly string[]>;
  getInternalMethods(): {
    getUsageInstance(): { getDescriptions(): Record<string, string> };
    getCommandInstance(): { getCommandHandlers(): Record<string, { builder: (y: unknown) => Described }> };
  };
}

type Rule = object & { readonly description?: string };

const URL = 'https://unpkg.com/onnx-offramp/schema/config.schema.json';
/** Aliases, and what a file cannot say. */
const LEFT_OUT = ['help', 'version', 'config', 'q'];

/** The JSON Schema of offramp.config.json, for the command line `cli`. */
export function configSchema(cli: unknown): object {
  const sections: Record<string, { properties: Record<string, Rule> }> = {};
  for (const [name, y] of leavesOf(cli as Described))
    sections[name] = {
      ...{ type: 'object', description: `Options of offramp ${name}.`, additionalProperties: false },
      properties: propertiesOf(name, y),
    };
  const shared: Record<string, Rule> = {};
  for (const [name, rule] of Object.values(sections).flatMap(({ properties }) =>
    Object.entries(properties),
  )) {
    const typeOf = ({ description: _, ...type }: Rule) => JSON.stringify(type);
    const before = shared[name];
    shared[name] = before === undefined ? rule : typeOf(before) === typeOf(rule) ? before : LIST;
  }
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: URL,
    title: 'offramp.config.json',
    description:
      'Options as on the command line, by name. At the top they hold for every command that has them; in a section for one. Flags override them. Relative paths are relative to the file.',
    type: 'object',
    additionalProperties: false,
    properties: { $schema: { type: 'string' }, ...shared, ...sections },
  };
}

/** Commands that do something, by the words that call them: `export` is none, `export triton` is. */
function leavesOf(y: Described, before: readonly string[] = []): [name: string, y: Described][] {
  const handlers = Object.entries(y.getInternalMethods().getCommandInstance().getCommandHandlers());
  if (handlers.length === 0) return [[before.join(' '), y]];
  return handlers
    .filter(([name]) => name !== 'completion')
    .flatMap(([name, { builder }]) =>
      leavesOf(builder(yargs([])), name === '$0' ? before : [...before, name]),
    );
}

function propertiesOf(command: string, y: Described): Record<string, Rule> {
  const { key } = y.getOptions();
  const descriptions = y.getInternalMethods().getUsageInstance().getDescriptions();
  const positional = y.getGroups()['Positionals:'] ?? [];
  const names = Object.keys(key).filter(
    (name) => !LEFT_OUT.includes(name) && !positional.includes(name) && !/[A-Z]/.test(name),
  );
  const typeOf = (name: string) => ruleOf(command, name)?.schema ?? { type: 'string' };
  const describe = (name: string) => {
    const text = (descriptions[name] ?? '').replace(/^__yargsString__:/, '');
    return text === '' ? {} : { description: text };
  };
  return Object.fromEntries(names.sort().map((name) => [name, { ...describe(name), ...typeOf(name) }]));
}

export const printed = (schema: object): string => `${JSON.stringify(schema, null, 2)}\n`;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // Without a command it only complains.
  process.argv = [process.execPath, 'offramp'];
  const write = process.stderr.write;
  process.stderr.write = () => true;
  const { cli } = await import('../src/cli/index.ts');
  process.stderr.write = write;
  process.exitCode = 0;
  writeFileSync(
    new globalThis.URL('../schema/config.schema.json', import.meta.url),
    printed(configSchema(cli)),
  );
}
