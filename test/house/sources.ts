/** What the house tests read: source files and, exactly as TypeScript sees them, their imports. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ts } from 'ts-morph';
import { listFiles } from '../golden.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface SourceFile {
  /** Relative to the repository, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

/** The files below `folder` (relative to the repository) whose path ends with `suffix`. */
export function sourceFiles(folder: string, suffix = '.ts'): SourceFile[] {
  return listFiles(join(ROOT, folder))
    .filter((path) => path.endsWith(suffix))
    .map((path) => ({ path: `${folder}/${path}`, text: readFileSync(join(ROOT, folder, path), 'utf8') }));
}

const parse = (file: SourceFile) => ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true);

function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

/** Every module specifier of `file`: imports, re-exports, `import()`, type imports and `require`; types count too. */
export function specifiersOf(file: SourceFile): string[] {
  const found: string[] = [];
  walk(parse(file), (node) => {
    let specifier: ts.Node | undefined;
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) specifier = node.moduleSpecifier;
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
      specifier = node.argument.literal;
    else if (ts.isCallExpression(node) && /^(import|require|register)$/.test(node.expression.getText()))
      specifier = node.arguments[0];
    if (specifier && ts.isStringLiteralLike(specifier)) found.push(specifier.text);
  });
  return found;
}

export interface TestFile extends SourceFile {
  /** Variables that hold a suite: `const name = suite(…)`. */
  readonly suites: readonly string[];
  /** Methods called on variables, as `name.method`. */
  readonly calls: ReadonlySet<string>;
  /** Names imported from uvu itself. */
  readonly fromUvu: readonly string[];
  /** Names of `suite(…)` calls without a literal name. */
  readonly unnamed: readonly string[];
  /** First arguments of goldenCase calls and all other plain strings. */
  readonly strings: ReadonlySet<string>;
}

export function testFiles(): TestFile[] {
  return sourceFiles('test', '.test.ts').map((file) => {
    const suites: string[] = [];
    const unnamed: string[] = [];
    const calls = new Set<string>();
    const fromUvu: string[] = [];
    const strings = new Set<string>();
    walk(parse(file), (node) => {
      if (ts.isStringLiteralLike(node)) strings.add(node.text);
      if (ts.isVariableDeclaration(node) && isCallOf(node.initializer, 'suite')) {
        suites.push(node.name.getText());
        const [name] = (node.initializer as ts.CallExpression).arguments;
        if (!name || !ts.isStringLiteralLike(name) || name.text === '') unnamed.push(node.name.getText());
      }
      if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
        calls.add(node.expression.getText());
      }
      if (ts.isImportDeclaration(node) && (node.moduleSpecifier as ts.StringLiteral).text === 'uvu') {
        const bindings = node.importClause?.namedBindings;
        if (bindings && ts.isNamedImports(bindings))
          fromUvu.push(...bindings.elements.map((e) => e.getText()));
        else fromUvu.push(node.importClause?.getText() ?? '');
      }
    });
    return { ...file, suites, unnamed, calls, fromUvu, strings };
  });
}

function isCallOf(node: ts.Node | undefined, name: string): boolean {
  return node !== undefined && ts.isCallExpression(node) && node.expression.getText() === name;
}
