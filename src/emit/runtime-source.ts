/**
 * Code for generated files that is written, type-checked and tested as modules of its own: src/runtime/. It is
 * taken from there declaration by declaration, to the letter.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { ts } from 'ts-morph';

/** In dist it lies beside the bundle (scripts/build.ts copies it). */
const FOLDER = new URL(import.meta.url.endsWith('.ts') ? '../runtime/' : './runtime/', import.meta.url);

interface Declaration {
  readonly name: string;
  /** Its doc comment, on lines of its own. */
  readonly docs: string;
  /** Without `export`. */
  readonly code: string;
  /** Names that occur in it, of other declarations among them. */
  readonly uses: ReadonlySet<string>;
}

let known: readonly Declaration[] | undefined;

/**
 * The declarations named in `exported`, those named in `used`, where not all names are of any, and all that those use, as statements in
 * the order of the modules' names; the former with `export`. Throws when there is no declaration of a name in `exported`.
 */
export function runtimeSource(exported: readonly string[], used: Iterable<string>): string[] {
  const declarations = allDeclarations();
  const byName = new Map(declarations.map((declaration) => [declaration.name, declaration]));
  const wanted = new Set<string>();
  const want = (name: string) => {
    if (wanted.has(name)) return;
    const declaration = byName.get(name);
    if (!declaration) throw new Error(`src/runtime declares no ${name}`);
    wanted.add(name);
    for (const other of declaration.uses) if (byName.has(other)) want(other);
  };
  for (const name of exported) want(name);
  for (const name of used) if (byName.has(name)) want(name);
  return declarations
    .filter(({ name }) => wanted.has(name))
    .map(({ name, docs, code }) => `\n${docs}${exported.includes(name) ? 'export ' : ''}${code}`);
}

/** Every name that is declared or used there: no class may be called so. */
export function runtimeNames(): ReadonlySet<string> {
  return new Set(allDeclarations().flatMap(({ name, uses }) => [name, ...uses]));
}

/** In the order of the modules' names, then as they stand there. */
function allDeclarations(): readonly Declaration[] {
  known ??= readdirSync(FOLDER)
    .filter((file) => file.endsWith('.ts'))
    .sort()
    .flatMap((file) => declarationsOf(readFileSync(new URL(file, FOLDER), 'utf8')));
  return known;
}

/** The top-level declarations of a module; a statement declares one thing. */
function declarationsOf(text: string): Declaration[] {
  const source = ts.createSourceFile('runtime.ts', text, ts.ScriptTarget.Latest, true);
  return source.statements.flatMap((statement) => {
    if (ts.isImportDeclaration(statement)) return [];
    const declared = ts.isVariableStatement(statement)
      ? statement.declarationList.declarations[0]!
      : (statement as ts.DeclarationStatement);
    const name = declared.name!.getText();
    const docs = ts.getJSDocCommentsAndTags(statement).at(-1);
    const code = text.slice(statement.getStart(), statement.end).replace(/^export /, '');
    const uses = referencesIn(statement);
    uses.delete(name);
    return [{ name, docs: docs ? `${docs.getText()}\n` : '', code, uses }];
  });
}

/** The names that TypeScript code refers to, whatever declares them. */
export const namesIn = (code: string): Set<string> =>
  referencesIn(ts.createSourceFile('code.ts', code, ts.ScriptTarget.Latest, true));

function referencesIn(root: ts.Node): Set<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && !isMemberName(node)) names.add(node.text);
    ts.forEachChild(node, visit);
  };
  visit(root);
  return names;
}

/** `name` in `value.name`, `{ name: value }` and member declarations: no reference. */
function isMemberName(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node;
  if (ts.isBindingElement(parent)) return parent.propertyName === node;
  return (
    (ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent) || ts.isMethodDeclaration(parent)) &&
    parent.name === node
  );
}
