/** Words of command lines, for shells of POSIX, where reports print them to be copied. */

export const quotedWord = (word: string): string =>
  /^[\w@%+:,./-][\w@%+=:,./-]*$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

/** A file of this name here, which no dash makes an option. */
export const quotedPlace = (file: string): string => quotedWord(file.startsWith('-') ? `./${file}` : file);

/** A program with its arguments and options, a line each. */
export const commandLine = (...lines: readonly string[]): string => lines.join(' \\\n  ');
