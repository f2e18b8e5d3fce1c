/** Statements of a generated file: constants and types with their doc comments. */
import {
  type PropertySignatureStructure,
  type StatementStructures,
  StructureKind,
  VariableDeclarationKind,
} from 'ts-morph';
import { commentText } from './names.ts';

export type Statement = StatementStructures | string;

const docs = (text: string): [string] => [commentLines(text)];

/** A doc comment's text; one of several lines starts on a line of its own. */
function commentLines(text: string): string {
  const lines = text.split('\n').map((line) => commentText(line.trim()));
  return lines.length > 1 ? `\n${lines.join('\n')}` : lines[0]!;
}

export const list = (items: readonly string[]) => `[\n${items.map((item) => `  ${item},\n`).join('')}]`;

/** An exported constant; without a type its value is its type. */
export function constant(name: string, value: string, doc: string, type?: string): Statement {
  const typed = type ? { type, initializer: value } : { initializer: `${value} as const` };
  return {
    kind: StructureKind.VariableStatement,
    isExported: true,
    declarationKind: VariableDeclarationKind.Const,
    declarations: [{ name, ...typed }],
    docs: docs(doc),
    leadingTrivia: '\n',
  };
}

export const alias = (name: string, type: string, doc: string): Statement => ({
  kind: StructureKind.TypeAlias,
  isExported: true,
  name,
  type,
  docs: docs(doc),
  leadingTrivia: '\n',
});

export const record = (name: string, doc: string, properties: PropertySignatureStructure[]): Statement => ({
  kind: StructureKind.Interface,
  isExported: true,
  name,
  properties,
  docs: docs(doc),
});

export const field = (name: string, type: string, doc: string): PropertySignatureStructure => ({
  kind: StructureKind.PropertySignature,
  isReadonly: true,
  name,
  type,
  docs: docs(doc),
});
