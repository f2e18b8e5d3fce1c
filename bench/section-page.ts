/** Pages that are made in sections: those that were not asked for stay as they are. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** By their names, in the order of the page: its heading, and what makes the text below it. */
export type Sections = Readonly<Record<string, readonly [heading: string, make: () => Promise<string>]>>;

/** Makes the sections `only`, names with commas between, and puts each into `page` in place of its former self. */
export async function makeSections(page: URL, head: string, sections: Sections, only: string): Promise<void> {
  for (const name of only.split(',')) {
    console.error(`── ${name}`);
    const started = performance.now();
    const [heading, make] = sections[name]!;
    const text = await make();
    console.error(`── ${name}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
    const before = existsSync(page)
      ? readFileSync(page, 'utf8')
          .split(/^(?=## )/m)
          .slice(1)
      : [];
    const all = new Map(before.map((section) => [/^## (.+)/.exec(section)![1]!, section]));
    all.set(heading, `## ${heading}\n\n${text}`);
    const inOrder = Object.values(sections).flatMap(([each]) => all.get(each)?.trimEnd() ?? []);
    writeFileSync(page, `${head}${inOrder.join('\n\n')}\n`);
  }
  console.log(`written to ${fileURLToPath(page)}`);
}
