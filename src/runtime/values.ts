/** What callers give, as errors tell of it. */

/** `value` in a word or two. */
export function told(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (value === null || value === undefined || typeof value === 'number') return String(value);
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** What is wrong with `options` as an object of which `known` are the names, in words; undefined when nothing is. */
export function unknownIn(options: unknown, known: readonly string[]): string | undefined {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    return `an object with ${known.join(', ')} expected, got ${told(options)}`;
  const given = options as Readonly<Record<string, unknown>>;
  const odd = Object.keys(given).find((name) => given[name] !== undefined && !known.includes(name));
  return odd === undefined ? undefined : `there is no option ${odd}; there are ${known.join(', ')}`;
}
