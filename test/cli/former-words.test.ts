/** What options were called before still works. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { settingsFor } from '../../src/cli/config.ts';
import { renewWords } from '../../src/cli/former-words.ts';
import type { OfframpError } from '../../src/errors/index.ts';

const test = suite('cli: former words');

test('--prove is --verify, --last joined is --final ensembled, with and without =', () => {
  const renewed = (line: string) => renewWords(line.split(' ')).join(' ');
  assert.is(
    renewed('compile a.onnx --prove all --last joined'),
    'compile a.onnx --verify all --final ensembled',
  );
  assert.is(renewed('compile --last=joined --prove=some'), 'compile --final=ensembled --verify=some');
  assert.is(renewed('compile --last original'), 'compile --final original');
  assert.is(renewed('compile --at joined --out last'), 'compile --at joined --out last');
  assert.is(renewed('compile --proven x -- --last joined'), 'compile --proven x -- --last joined');
});

test('a file with options may use them too, for one command or for all', () => {
  const folder = mkdtempSync(join(tmpdir(), 'offramp-former-'));
  try {
    const path = join(folder, 'options.json');
    writeFileSync(path, JSON.stringify({ last: 'joined', compile: { prove: 'all' } }));
    assert.equal(settingsFor(['compile', '--config', path]), { final: 'ensembled', verify: 'all' });
    const refused = (settings: object) => {
      writeFileSync(path, JSON.stringify(settings));
      assert.throws(
        () => settingsFor(['compile', '--config', path]),
        (error: OfframpError) => ['bad-config', 'unknown-setting'].includes(error.code),
        JSON.stringify(settings),
      );
    };
    refused({ compile: { final: 'ensembled', last: 'original' } });
    refused({ compile: { last: ['joined'] } });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
