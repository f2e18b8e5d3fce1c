/** Whoever calls the API can name every type that they meet there. */
import { join } from 'node:path';
import { Node, Project } from 'ts-morph';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from './sources.ts';

const test = suite('house: public types');

/** What of `declaration` callers see: of a function its signature, of a type all of it. */
function visibleParts(declaration: Node): Node[] {
  const code = Node.isVariableDeclaration(declaration) ? declaration.getInitializer() : declaration;
  const isCode = Node.isFunctionDeclaration(code) || Node.isArrowFunction(code);
  const parts = isCode
    ? [...code.getParameters().map((parameter) => parameter.getTypeNode()), code.getReturnTypeNode()]
    : [Node.isVariableDeclaration(declaration) ? declaration.getTypeNode() : declaration];
  return parts.filter((part) => part !== undefined);
}

/** The declarations in src/ of the types that `node` names. */
const declarationsIn = (node: Node): [name: string, declaration: Node][] =>
  [node, ...node.getDescendants()].flatMap((one) => {
    const parent = one.getParent();
    const isName = Node.isTypeReference(parent) || Node.isExpressionWithTypeArguments(parent);
    const symbol = Node.isIdentifier(one) && isName ? one.getSymbol() : undefined;
    const real = symbol?.getAliasedSymbol() ?? symbol;
    return (real?.getDeclarations() ?? [])
      .filter((found) => !Node.isTypeParameterDeclaration(found))
      .filter((found) => found.getSourceFile().getFilePath().startsWith(join(ROOT, 'src/')))
      .map((found): [string, Node] => [real!.getName(), found]);
  });

test('every type in a signature of the API is exported', () => {
  const project = new Project({
    tsConfigFilePath: join(ROOT, 'tsconfig.json'),
    skipAddingFilesFromTsConfig: true,
  });
  const exported = project.addSourceFileAtPath(join(ROOT, 'src/index.ts')).getExportedDeclarations();
  const left = [...exported].flatMap(([_name, found]): Node[] => found);
  const met = new Set(left);
  const missing = new Set<string>();
  for (let next = left.pop(); next !== undefined; next = left.pop())
    for (const [name, declaration] of visibleParts(next).flatMap(declarationsIn)) {
      if (!exported.has(name)) missing.add(`${name} (${declaration.getSourceFile().getBaseName()})`);
      if (met.has(declaration)) continue;
      met.add(declaration);
      left.push(declaration);
    }
  assert.ok(met.size > 50);
  assert.equal([...missing].sort(), []);
});

test.run();
