import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sharedData } from '../shared.ts';
import { openFor, tokenInputs } from './fixtures.ts';

const test = suite('data: texts');

for (const [name, length] of [
  ['ag_news', 64],
  ['sst2', 40],
] as const)
  test(`${name}: text becomes the ids and masks that are stored with it`, async () => {
    const path = sharedData('text', name, 'test.jsonl');
    const inputs = tokenInputs(length, 'input_ids', 'attention_mask');
    const stored = await openFor(path, inputs);
    const made = await openFor(path, inputs, { tokenizer: join(path, '..', 'tokenizer.json') });
    assert.is(stored.size, name === 'sst2' ? 1821 : 1000);
    assert.equal(stored.classNames?.length, name === 'sst2' ? 2 : 4);
    assert.is(made.hash, stored.hash);
    await stored.close();
    await made.close();
  });

test.run();
