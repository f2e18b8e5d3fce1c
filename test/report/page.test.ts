import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { niceAxis, openCharts } from '../../src/report/charts/draw.ts';
import { scoreHistogram } from '../../src/report/charts/exits.ts';
import { escapeHtml, html } from '../../src/report/html.ts';
import { lineOf, modelLineFile, picturedSamples, reportFacts, reportPage } from '../../src/report/index.ts';
import { drawnSeen, LABELS, MANIFEST, SAMPLES } from './sample.ts';

const test = suite('report: page');
const seen = drawnSeen();
const facts = reportFacts(MANIFEST, () => seen);
const PNG = Buffer.from('89504e470d0a1a0a', 'hex');
const pictures = new Map(picturedSamples(facts).map((sample) => [sample, PNG]));
const page = await reportPage(facts, pictures);

const timeless = (text: string) => text.replace(/<(section|div|td) data-clock>.*?<\/\1>/gs, '');

test('the same facts give the same page, however many were drawn before', async () => {
  assert.is(await reportPage(reportFacts(MANIFEST, drawnSeen), pictures), page);
});

test('what clocks measured is where it is marked and nowhere else', async () => {
  const slower = {
    ...MANIFEST,
    baseline: { ...MANIFEST.baseline, latencyMsMean: 7.77, latencyMsP50: 6.66 },
    operatingPoints: MANIFEST.operatingPoints.map((p) => ({ ...p, latencyMsMean: 5.55, latencyMsP50: 4.44 })),
  };
  const other = await reportPage(
    reportFacts(slower, () => seen),
    pictures,
  );
  assert.is.not(other, page);
  assert.match(other, '7.77 ms');
  assert.is(timeless(other), timeless(page));
});

test('an axis of one value has room and few steps', () => {
  for (const [least, most] of [
    [100, 100],
    [98.7654321, 98.7654321],
    [72.3, 91.2],
    [99.999, 100],
  ] as const) {
    const { min, max, interval } = niceAxis(least, most);
    assert.ok(min <= least && most <= max && min < max, `${min} to ${max}`);
    assert.ok((max - min) / interval < 8, `${(max - min) / interval} steps`);
  }
});

test('a threshold is drawn where it is, next to the highest score too', async () => {
  const draw = await openCharts();
  const counts = { right: [1, 2], wrong: [1, 0], unscored: 0 };
  for (const at of [0.998, 0.9987]) {
    const thresholds = [{ point: 'balanced', at }];
    const chart = scoreHistogram({ edges: [0.2, 0.6, 0.999], ...counts, thresholds });
    assert.match(draw(chart, { width: 360, height: 310 }, 'one', 'scores'), `balanced ${at.toPrecision(3)}`);
  }
});

test('names from users are text, in the page, its attributes and its drawings', () => {
  assert.not.match(page, /<script/);
  assert.not.match(page, /<img src=x/);
  for (const label of LABELS) assert.ok(page.includes(escapeHtml(label)), label);
  const evil = {
    ...MANIFEST,
    exits: MANIFEST.exits.map((e) => ({ ...e, tap: '</title><script>x</script>' })),
  };
  const drawing = modelLineFile(lineOf(evil, facts.chosen));
  assert.not.match(drawing, /<script/);
  assert.is(
    String(html`<p title="${'"<\u0001'}">${['a', html`<b>${'&'}</b>`]}</p>`),
    '<p title="&quot;&lt;\ufffd">a<b>&amp;</b></p>',
  );
});

test('it asks for nothing, runs nothing, and every drawing says what it shows', () => {
  assert.not.match(page, /\b(href|src)="(?!data:image\/png;base64,)/);
  assert.not.match(page, /url\((?!#)|@import|<link|<iframe/);
  const drawings = page.match(/<svg [^>]*>/g)!;
  // The frontier, latency, policies (twice) and training are drawn for two widths.
  assert.is(drawings.length, 2 * 5 + 1 + 2 + 2 + 3);
  for (const drawing of drawings) assert.match(drawing, /role="img"[^>]* aria-label="[^"]{20,}"/);
  const ids = [...page.matchAll(/ id="([^"]+)"/g)].map((m) => m[1]);
  assert.is(new Set(ids).size, ids.length, 'ids are unique');
  for (const [, id] of page.matchAll(/url\(#([^)]+)\)/g)) assert.ok(ids.includes(id), id);
});

test('the command to do it again says how the original was read', async () => {
  const source = { ...MANIFEST.source, output: 'scores', dims: { length: 16 }, widenBatch: true as const };
  const text = await reportPage(
    reportFacts({ ...MANIFEST, source }, () => seen),
    undefined,
  );
  assert.match(text, /--output scores \\\n {2}--dim length=16 \\\n {2}--widen-batch \\\n/);
  assert.not.match(page, /--(output|dim|widen-batch) /);
});

test('an original that guesses is told above everything else, and so is time that is not saved', async () => {
  const baseline = { ...MANIFEST.baseline, accuracy: 1 / MANIFEST.classes, latencyMsMean: 0.001 };
  const text = await reportPage(
    reportFacts({ ...MANIFEST, baseline }, () => seen),
    undefined,
  );
  const [before] = text.split('<dl');
  assert.match(before!, /hardly better than guessing/);
  assert.match(before!, /<p class="warning" data-clock>No time is saved/);
  assert.not.match(page, /guessing|No time is saved/);
});

test('samples that flatter are told above everything else', async () => {
  const before = async (data: object) =>
    (
      await reportPage(
        reportFacts({ ...MANIFEST, data: { ...MANIFEST.data, ...data } }, () => seen),
        undefined,
      )
    ).split('<dl')[0]!;
  const calibration = { samples: SAMPLES, hash: 'same' };
  assert.match(
    await before({ calibration, test: calibration }),
    /test samples are the calibration samples too/,
  );
  const cut = { samples: SAMPLES, hash: 'other', from: 'split of train' };
  assert.match(await before({ test: cut }), /cut off the training data/);
  assert.not.match(page.split('<dl')[0]!, /samples too|cut off/);
});

test('every setting is there by name, and the cheapest that may lose nothing is told', () => {
  const [, table] = page.split('<details>');
  for (const { name } of MANIFEST.operatingPoints)
    assert.ok(table!.includes(`<th scope="row">${name}</th>`), name);
  assert.match(page, /The cheapest of which that is so is [\w.-]+, at [\d.]+ % of the cost\./);
});

test('what is not there is left out: pictures, latencies, comparison, training; what misleads is said', async () => {
  const { policyComparison: _, training: __, ...rest } = MANIFEST;
  const bare = {
    ...rest,
    latency: null,
    measuredOn: 'calibration' as const,
    baseline: { ...MANIFEST.baseline, latencyMsMean: null },
    data: { calibration: { samples: 400, hash: 'random-1', random: true as const } },
  };
  const text = await reportPage(
    reportFacts(bare, () => seen),
    undefined,
  );
  for (const heading of ['Who leaves where', 'Whether saved MACs', 'Why this policy', 'How training went'])
    assert.not.match(text, heading);
  assert.match(text, 'random numbers');
  assert.match(text, 'There was no test data');
  for (const heading of ['Who leaves where', 'Whether saved MACs', 'Why this policy', 'How training went'])
    assert.match(page, heading);
});

test.run();
