/** README's commands: the lines of its ```sh blocks. As a script, prints those that .ci/run runs, one a line. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The commands that only make sense in a whole fresh clone; .ci/run runs exactly these. */
export const isForCi = (command: string): boolean => command.startsWith('npm ci ');

/** The lines of the ```sh blocks of `file` (README.md by default), continued lines joined, comments and blank lines dropped. */
export function readmeCommands(file = 'README.md'): string[] {
  const text = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)]
    .flatMap((block) => block[1]!.replace(/\\\n\s*/g, '').split('\n'))
    .map((line) =>
      line
        .replace(/^\$ /, '')
        .replace(/\s+# .*$/, '')
        .trim(),
    )
    .filter((line) => line !== '' && !line.startsWith('#'));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const command of readmeCommands().filter(isForCi)) console.log(command);
}
