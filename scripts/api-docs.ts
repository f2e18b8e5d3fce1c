/** Writes docs/api/README.md, the API reference, out of the doc comments of what src/index.ts exports and the types that is made of: `npm run docs`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type JSDocableNode, Node, Project, type ts } from 'ts-morph';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SRC = join(ROOT, 'src');

/** Markdown: a section for each export, then for each type that those are made of. */
export function apiReference(): string {
  const project = new Project({
    tsConfigFilePath: join(ROOT, 'tsconfig.json'),
    skipAddingFilesFromTsConfig: true,
  });
  const index = project.addSourceFileAtPath(join(SRC, 'index.ts'));
  project.resolveSourceFileDependencies();
  const exported = new Map<string, Node<ts.Node>>();
  for (const [name, [declaration]] of index.getExportedDeclarations())
    if (declaration) exported.set(name, declaration);
  const parts = new Map<string, Node<ts.Node>>();
  const known = new Set(exported.values());
  for (const found of [...exported.values()]) collect(found);

  function collect(from: Node<ts.Node>): void {
    from.forEachDescendant((node, traversal) => {
      if (Node.isBlock(node)) return traversal.skip();
      if (!Node.isIdentifier(node)) return;
      const symbol = node.getSymbol();
      for (const declaration of (symbol?.getAliasedSymbol() ?? symbol)?.getDeclarations() ?? []) {
        const isType = Node.isInterfaceDeclaration(declaration) || Node.isTypeAliasDeclaration(declaration);
        if (!isType || known.has(declaration) || !declaration.getSourceFile().getFilePath().startsWith(SRC))
          continue;
        known.add(declaration);
        parts.set(declaration.getName(), declaration);
        collect(declaration);
      }
    });
  }

  const sections = (declarations: ReadonlyMap<string, Node<ts.Node>>) =>
    [...declarations].sort(([a], [b]) => a.localeCompare(b)).map(([name, node]) => section(name, node));
  return [
    "# API\n\nMade by `npm run docs`. What `import 'onnx-offramp'` gives:",
    ...sections(exported),
    '# What that is made of',
    ...sections(parts),
    '',
  ].join('\n\n');
}

function section(name: string, declaration: Node<ts.Node>): string {
  const place = relative(ROOT, declaration.getSourceFile().getFilePath());
  const holder = Node.isVariableDeclaration(declaration) ? declaration.getVariableStatement() : declaration;
  const docs = holder && Node.isJSDocable(holder) ? (holder as JSDocableNode).getJsDocs() : [];
  const told = docs.map((doc) => doc.getDescription().trim()).join('\n\n');
  return [
    `## ${name}`,
    ...(told ? [told] : []),
    `\`\`\`ts\n${outline(declaration)}\n\`\`\``,
    `[${place}](../../${place})`,
  ].join('\n\n');
}

/** The declaration without bodies and private members. */
function outline(declaration: Node<ts.Node>): string {
  if (Node.isFunctionDeclaration(declaration)) {
    const body = declaration.getBody();
    const text = declaration.getText();
    return body ? `${text.slice(0, body.getStart() - declaration.getStart()).trim()};` : text;
  }
  if (Node.isClassDeclaration(declaration)) {
    const members = declaration.getMembers().filter((member) => !/^private\b/.test(member.getText()));
    return [
      `class ${declaration.getName()} {`,
      ...members.map((member) => `  ${member.getText()}`),
      '}',
    ].join('\n');
  }
  return declaration.getText();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = join(ROOT, 'docs/api');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'README.md'), apiReference());
  console.log(`Written: ${relative(process.cwd(), join(folder, 'README.md'))}`);
}
