import * as fc from 'fast-check';
import { chains, checkChain } from '../test/fuzz/chains.ts';
const [seed, n] = [Number(process.argv[2]), Number(process.argv[3])];
const sample = fc.sample(chains, { seed, numRuns: n });
let ok = 0, bad = 0; const tally: Record<string, number> = {};
const add = (k: string) => (tally[k] = (tally[k] ?? 0) + 1);
const only = process.argv[4] === undefined ? undefined : Number(process.argv[4]);
for (const [i, c] of sample.entries()) {
  if (only !== undefined && i !== only) continue;
  try {
    const seen = await checkChain(c);
    ok++; add(`networks ${seen.networks}`); add(`exits ${seen.exits}`); add(`ways ${seen.ways}`); add(`fixed ${seen.isFixed}`); add(seen.policy);
    add(`batch ${c.batch}`); add(`baked ${c.baked}`); add(`final ${c.final !== undefined}`); add(`opened ${c.opened}`); add(`binary ${c.isBinary}`); add(`context ${c.hasContext}`); 
    if (c.links.some((l) => l.isHalf)) add('half'); if (c.links.some((l) => l.isClosed)) add('a network closed'); if (c.links.some((l) => l.isTwin)) add('twin');
  } catch (e) {
    bad++; console.log(`#${i} FAILED: ${c.policy} networks ${c.links.length} final ${c.final} baked ${c.baked} fixed ${c.fixed} opened ${c.opened} binary ${c.isBinary} ctx ${c.hasContext} half ${c.links.map((l) => l.isHalf)} batch ${c.batch} sick ${c.sick}\n   ${only !== undefined ? (e as Error).stack : String((e as Error).message ?? e).slice(0, 400)}`);
  }
  if (i % 50 === 49) console.log(new Date().toISOString(), i + 1, ok, bad);
}
console.log(ok, 'passed', bad, 'failed', '');
