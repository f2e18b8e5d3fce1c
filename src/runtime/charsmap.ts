/** Texts by a `precompiled_charsmap` of sentencepiece: https://github.com/google/sentencepiece/blob/v0.2.0/src/normalizer.cc */

/** Longest cluster of characters, in UTF-8 bytes less one, that is looked up as a whole (`spm_precompiled`, which `tokenizers` uses). */
const LOOKED_UP_AS_ONE = 6;

/**
 * What `charsmap`, in base64, makes of a text. It holds the size of a double-array trie in bytes, the trie, and what its entries become,
 * each ended by a 0 (darts-clone's units: https://github.com/s-yata/darts-clone). Throws where it ends before that.
 */
export function charsmapOf(charsmap: string): (text: string) => string {
  const bytes = Uint8Array.from(atob(charsmap), (character) => character.charCodeAt(0));
  if (bytes.length === 0) return (text) => text;
  const view = new DataView(bytes.buffer);
  const trieEnd = 4 + view.getUint32(0, true);
  if (trieEnd > bytes.length || trieEnd % 4 !== 0) throw new Error('precompiled_charsmap is cut off');
  const units = Uint32Array.from({ length: (trieEnd - 4) / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
  const utf8 = new TextEncoder();
  const decoder = new TextDecoder();
  const offsetOf = (unit: number) => (unit >>> 10) << ((unit & 0x200) >>> 6);
  /** What the shortest entry that `key` begins with becomes. */
  const lookUp = (key: Uint8Array): string | undefined => {
    let at = offsetOf(units[0]!);
    for (const byte of key) {
      if (byte === 0) return undefined;
      at ^= byte;
      const unit = units[at];
      if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return undefined;
      at ^= offsetOf(unit);
      if (((unit >>> 8) & 1) === 0) continue;
      const from = trieEnd + ((units[at] ?? 0) & 0x7fffffff);
      const end = bytes.indexOf(0, from);
      return decoder.decode(bytes.subarray(from, end < 0 ? bytes.length : end));
    }
    return undefined;
  };
  const clusters = new Intl.Segmenter('en', { granularity: 'grapheme' });
  return (text) =>
    Array.from(clusters.segment(text), ({ segment }) => {
      const key = utf8.encode(segment);
      const whole = key.length < LOOKED_UP_AS_ONE ? lookUp(key) : undefined;
      return (
        whole ?? Array.from(segment, (character) => lookUp(utf8.encode(character)) ?? character).join('')
      );
    }).join('');
}
