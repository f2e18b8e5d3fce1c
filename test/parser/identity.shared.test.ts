import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { sharedData } from '../shared.ts';
import { testIdentity } from './identical.ts';

const test = suite('parser: identity of real models');

const models = sharedData('models');
const texts = sharedData('text');
const files = [
  ...readdirSync(models).map((name) => join(models, name)),
  ...readdirSync(texts).map((name) => join(texts, name, 'encoder.onnx')),
];
for (const path of files) if (path.endsWith('.onnx')) testIdentity(test, path);

test.run();
