/**
 * Writes the modules that check manifests and settings files, from their schemas, by Ajv: `npm run schema`. A test says when that was
 * forgotten. Users of Offramp need no Ajv.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import standalone from 'ajv/dist/standalone/index.js';
import { transformSync } from 'esbuild';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Schemas and the modules that check them. */
export const VALIDATORS: readonly (readonly [schema: string, module: string])[] = [
  ['schema/manifest.schema.json', 'src/emit/manifest-validator.ts'],
  ['schema/config.schema.json', 'src/cli/config-validator.ts'],
];

/** The text of the module that checks values against `schema`, a path. */
export function printValidator(schema: string): string {
  const text = readFileSync(join(ROOT, schema), 'utf8');
  const isProse = (key: string, value: unknown) => key === 'description' && typeof value === 'string';
  const rules = JSON.parse(text, (key, value) => (isProse(key, value) ? undefined : value));
  const ajv = new Ajv2020({
    ...{ strict: true, allowUnionTypes: true, messages: false },
    code: { source: true, esm: true },
  });
  const code = standalone
    .default(ajv, ajv.compile(rules))
    .replace('require("ajv/dist/runtime/ucs2length").default', '(text) => [...text].length');
  return [
    `// Generated from ${schema} by Ajv: npm run schema. DO NOT EDIT.`,
    '// @ts-nocheck',
    '// biome-ignore-all lint: generated file',
    '// biome-ignore-all format: generated file',
    transformSync(code, { minify: true, charset: 'utf8', target: 'node20' }).code,
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [schema, module] of VALIDATORS) writeFileSync(join(ROOT, module), printValidator(schema));
}
