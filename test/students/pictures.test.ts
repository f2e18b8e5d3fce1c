import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Dataset, PLAIN_VIEW, type View } from '../../src/data/index.ts';
import { AUGMENTS, augmentFor, viewsOf } from '../../src/students/augment.ts';
import { openPictures, type TeacherMode } from '../../src/students/picture-source.ts';
import { MIRRORED } from '../../src/train/features.ts';
import { syntheticData, syntheticModel, temporaryFolder } from '../train/synthetic.ts';

const test = suite('students: pictures');

const pictures = (channels: 'rgb' | 'gray' | 'any', recordDims: number[], isImage = true) => {
  const mean = channels === 'rgb' ? [0, 0, 0] : [0];
  return { isImage, preprocessing: { channels, mean }, recordDims } as unknown as Dataset;
};

test('colour pictures are shifted and mirrored, gray ones shifted, others left alone', () => {
  assert.is(augmentFor(pictures('rgb', [32, 32, 3])), 'shift,flip');
  assert.is(augmentFor(pictures('gray', [28, 28])), 'shift');
  assert.is(augmentFor(pictures('any', [3, 8, 8])), 'none');
  assert.is(augmentFor(pictures('any', [128], false)), 'none');
});

test('every shift by up to an eighth of the shorter side is as likely as any other', () => {
  const counts = AUGMENTS.map((augment) => viewsOf(pictures('rgb', [3, 32, 48]), augment).length);
  assert.equal(counts, [1, 2, 81, 162]);
  const views = viewsOf(pictures('rgb', [224, 224, 3]), 'shift,flip');
  const most = (of: (view: View) => number) => Math.max(...views.map(of));
  assert.equal([most((v) => v.dx), most((v) => -v.dy)], [28, 28]);
  assert.is(new Set(views.map((v) => JSON.stringify(v))).size, 2 * 57 * 57);
  assert.equal(viewsOf(pictures('any', [128], false), 'none'), [PLAIN_VIEW]);
  assert.throws(() => viewsOf(pictures('any', [128], false), 'flip'), /no height and width/);
});

test('the answers are those to the plain or the mirrored picture, or to the very view', async () => {
  const teacher = { typed: syntheticModel(), modelHash: 'm' };
  const dataset = syntheticData(40);
  const session = { threads: 1 };
  const views: View[] = [PLAIN_VIEW, { ...PLAIN_VIEW, dx: 1 }, MIRRORED, { ...MIRRORED, dy: -1 }];
  const asked: View[] = [];
  const spied: Dataset = {
    ...dataset,
    read: (indices, seen, out) => {
      if (Array.isArray(seen)) asked.push(...seen);
      return dataset.read(indices, seen, out);
    },
  };
  const cacheFolder = temporaryFolder();
  const answersTo = async (mode: TeacherMode, indices: number[], seen: number[]) => {
    const source = await openPictures({ teacher, mode, dataset: spied, views, cacheFolder, session });
    asked.length = 0;
    const { features, logits } = await source.read(indices, seen);
    const read = [...(features.image!.data as Float32Array)];
    const answers = [...(logits.data as Float32Array)];
    await source.close();
    return { read, answers, storage: source.storage };
  };
  const indices = [3, 30, 31, 7];
  const cached = await answersTo('cached', indices, [0, 1, 2, 3]);
  assert.equal(asked, views);
  assert.equal(cached.read, [...(await dataset.read(indices, views))]);
  const plainly = await answersTo('cached', indices, [0, 0, 2, 2]);
  assert.equal(cached.answers, plainly.answers);
  assert.not.equal(cached.answers, (await answersTo('cached', indices, [2, 2, 0, 0])).answers);
  const fresh = await answersTo('fresh', indices, [0, 1, 2, 3]);
  assert.equal(asked, [...views, ...views], 'the student and the original see the same');
  assert.equal([cached.storage, fresh.storage], ['cached', 'recomputed']);
});

test.run();
