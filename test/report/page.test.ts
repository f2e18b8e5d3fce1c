import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { legendHeight, MARGINS, niceAxis, openCharts } from '../../src/report/charts/draw.ts';
import { scoreHistogram } from '../../src/report/charts/exits.ts';
import { trainingCurves } from '../../src/report/charts/fits.ts';
import { frontier } from '../../src/report/charts/points.ts';
import { escapeHtml, html } from '../../src/report/html.ts';
import { lineOf, modelLineFile, picturedSamples, reportFacts, reportPage } from '../../src/report/index.ts';
import { paletteCss } from '../../src/report/palette.ts';
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

test('contents lead to every heading of the page, in order, and to nothing else', async () => {
  const { policyComparison: _, training: __, ...rest } = MANIFEST;
  const bare = await reportPage(
    reportFacts({ ...rest, latency: null }, () => seen),
    undefined,
  );
  const linked = [page, bare].map((text) => {
    const links = [...text.matchAll(/<a href="#([^"]*)">([^<]*)<\/a>/g)].map(([, id, title]) => [id, title]);
    const headings = [...text.matchAll(/<h2 id="([^"]*)">([^<]*)<\/h2>/g)].map(([, id, title]) => [
      id,
      title,
    ]);
    assert.equal(links, headings);
    return links.length;
  });
  assert.equal(linked, [10, 6]);
});

/** What drawings tell a mouse. */
const tipsIn = (text: string) =>
  [...text.matchAll(/<rect class="tip" [^>]*><title>([^<]*)<\/title><\/rect>/g)].map((m) => m[1]!);

test('places in drawings tell their values', () => {
  const tips = tipsIn(page);
  for (const { name, relativeCost } of MANIFEST.operatingPoints) {
    const told = new RegExp(`^${name}: accuracy 80\\.00 %, .*, cost ${(100 * relativeCost).toFixed(1)} %$`);
    assert.is(tips.filter((tip) => told.test(tip)).length, 2, `${name}, wide and narrow`);
    assert.is(tips.filter((tip) => tip.startsWith(`${name}: measured `)).length, 2, name);
  }
  for (const [k, { right, wrong }] of facts.leaving.entries()) {
    const place = MANIFEST.exits[k]?.id ?? 'full path';
    for (const [kind, n] of [
      ['right', right],
      ['wrong', wrong],
    ] as const)
      assert.is(tips.includes(`${place}: ${n} ${kind}`), n > 0, place);
  }
  const scores = tips.filter((tip) => tip.startsWith('score '));
  const told = facts.scores.flatMap(({ right, wrong }) =>
    right.map((n, b) => `${n} right, ${wrong[b]} wrong`),
  );
  assert.equal(
    scores.map((tip) => tip.split(': ')[1]),
    told,
  );
  assert.is(tips.filter((tip) => tip.startsWith('balanced: 50.0 % at exit_1')).length, 1);
  assert.is(
    tips.filter((tip) => /^said [\d.]+ %, seen /.test(tip)).length,
    facts.reliability.reduce((sum, { bins }) => sum + bins.length, 0),
  );
  assert.equal(tips.filter((tip) => tip.startsWith('step ')).slice(0, 3), [
    'step 1: exit_1 2, exit_2 1.75',
    'step 10: exit_1 1.5, exit_2 1',
    'step 20: exit_1 1.25, exit_2 0.5',
  ]);
  assert.ok(tips.includes('40.0 % of the cost: max-prob 90.00 %, entropy 88.50 %'));
  assert.ok(tips.includes('margin: 89.00 %'));
});

test('points in one place tell their values together, and those that are not drawn none', () => {
  const [cheap, ...others] = facts.points;
  const [same, ...rest] = others;
  const far = { ...cheap!, drop: { value: 0.7, low: 0.69, high: 0.71 }, accuracy: 0.2 };
  const both = { ...facts, points: [far, same!, { ...same!, name: 'twin' }, ...rest] };
  const { tips } = frontier(both, { width: 900, height: 400 });
  const told = tips!.map(({ says }) => says);
  assert.ok(
    told.some((says) => /^fast: .*\ntwin: /.test(says)),
    told.join('; '),
  );
  assert.not.ok(told.some((says) => says.includes(cheap!.name)));
});

test('the axis of costs begins near the cheapest point, and where that is not 0 it says so', async () => {
  const [min] = /cost, % of the original’s MACs, from (\d+) on</.exec(page)!.slice(1);
  assert.is(min, '50');
  assert.match(page, 'Costs are drawn from 50 % on, not from 0.');
  const narrow = page.split('<div class="narrow">')[1]!;
  const [x] = /<rect class="tip" x="([\d.]+)"[^>]*><title>exact: /.exec(narrow)!.slice(1);
  assert.is(Number(x) + 8, 360 - MARGINS.right, 'the name of the axis does not push it away');
  const [from] = facts.points;
  const [cheap] = [{ ...from!, relativeCost: 0.02 }];
  const text = await reportPage({ ...facts, points: [cheap, ...facts.points.slice(1)] }, undefined);
  const [whole] = text.split('<table>');
  assert.not.match(whole!, /class="cut"|from \d+ on</);
  assert.not.match(text, 'Costs are drawn from');
  assert.is(page.split('<table>')[0]!.match(/class="cut"/g)!.length, 2, 'wide and narrow');
});

test('right and wrong are drawn to one scale', async () => {
  const draw = await openCharts();
  const heights = (right: number[], wrong: number[]) => {
    const chart = scoreHistogram({ edges: [0, 0.5, 1], right, wrong, unscored: 0, thresholds: [] });
    const svg = draw(chart, { width: 360, height: 310 }, 'one', 'scores');
    const bars = [
      ...svg.matchAll(/<path d="M[\d.]+ [\d.]+l[\d.]+ 0l0 ([\d.]+)l[^"]*" fill="var\(--(right|wrong)\)"/g),
    ];
    const of = (kind: string) => Math.max(...bars.filter((m) => m[2] === kind).map((m) => Number(m[1])));
    return of('right') / of('wrong');
  };
  const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < 0.02 * b, `${a} is not ${b}`);
  near(heights([9, 0], [0, 9]), 1);
  near(heights([400, 0], [0, 4]), 10);
  near(heights([4, 0], [0, 16]), 0.5);
});

test('exits that no named point uses are folded, and no bar is theirs', async () => {
  const closed = MANIFEST.operatingPoints.map((point) => ({
    ...point,
    thresholds: point.name.startsWith('cost-') ? point.thresholds : [point.thresholds[0]!, 1],
  }));
  const text = await reportPage(
    reportFacts({ ...MANIFEST, operatingPoints: closed }, () => seen),
    pictures,
  );
  const folded = [
    ...text.matchAll(
      /<details><summary>exit_2, which no named operating point uses<\/summary>(.*?)<\/details>/gs,
    ),
  ];
  assert.equal(
    folded.map((m) => [...m[1]!.matchAll(/<h3>([^<]*)</g)].map((h) => h[1])),
    [['Scores at exit_2'], ['Probabilities of exit_2']],
  );
  assert.match(text, 'Not drawn: exit_2, which no named operating point uses.');
  assert.not.ok(tipsIn(text).some((tip) => tip.startsWith('exit_2: ')));
  assert.not.match(text, 'Leave at exit_2');
  assert.not.match(page, 'which no named operating point uses');
});

test('what scrolls can be reached by keyboard and has a name of its own', () => {
  const boxes = page.match(/<(pre|div class="scroll")[^>]*>/g)!;
  const names = boxes.map((box) => {
    assert.match(box, / tabindex="0" role="region"/);
    return / aria-label="([^"]+)"/.exec(box)![1];
  });
  assert.is(new Set(names).size, names.length);
  assert.ok(names.includes('Command to do it again'));
});

test('a legend of many names has the room that it takes', () => {
  const names = Array.from({ length: 11 }, (_, k) => `exit_${k + 1}`);
  const curves = names.map((name) => ({
    name,
    tint: 'red',
    points: [
      [1, 2],
      [2, 1],
    ] as const,
  }));
  const top = (width: number) =>
    (trainingCurves(curves, 'loss', { width, height: 330 }).grid as { top: number }).top;
  assert.ok(top(900) < top(440) && top(440) <= top(360));
  assert.is(legendHeight(names.slice(0, 2), 360), legendHeight([], 900));
});

test('the original is called as the package calls it, once', () => {
  assert.is(page.match(/exitId: &#39;full&#39;|exitId: 'full'/g)!.length, 1);
});

test('names that are cut are told to a mouse, in the drawing of the model and below pictures', () => {
  const tap = '/features/block_17/very_long/Relu_output_0';
  const exits = MANIFEST.exits.map((exit) => ({ ...exit, tap }));
  const drawing = modelLineFile(lineOf({ ...MANIFEST, exits }, facts.chosen));
  assert.is(
    drawing.match(new RegExp(`<text [^>]*><title>${tap}</title>/features/…?[^<]*…[^<]*</text>`, 'g'))!.length,
    2,
  );
  for (const label of LABELS) {
    const name = escapeHtml(label);
    assert.ok(page.includes(`title="${name}">${name}</span>`), label);
  }
});

test('texts stand out from their ground, and shapes from the page, by what WCAG 2 asks (1.4.3, 1.4.11)', () => {
  for (const palette of paletteCss(':root').split('\n')) {
    const colours = new Map([...palette.matchAll(/--(\w+):(#\w{6})/g)].map((m) => [m[1]!, m[2]!]));
    const luminance = (role: string) =>
      [1, 3, 5]
        .map((at) => Number.parseInt(colours.get(role)!.slice(at, at + 2), 16) / 255)
        .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + [0.2126, 0.7152, 0.0722][i]! * c, 0);
    const contrast = (a: string, b: string) => {
      const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
      return (high + 0.05) / (low + 0.05);
    };
    for (const ground of ['paper', 'card'])
      for (const ink of ['ink', 'muted', 'accent'])
        assert.ok(contrast(ink, ground) >= 4.5, `${ink} on ${ground}`);
    for (const role of ['right', 'wrong', 'full', ...[0, 1, 2, 3, 4, 5].map((k) => `exit${k}`)])
      assert.ok(contrast(role, 'paper') >= 3, role);
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
  assert.is(page.match(/<script/g)!.length, 1, 'its own');
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

test('it asks for nothing, runs one script of its own, and every drawing says what it shows', () => {
  assert.not.match(page, /\bsrc="(?!data:image\/png;base64,)|\bhref="(?!#)/);
  const [, policy, script] = /script-src '([^']*)'.*<script>(.*?)<\/script>/s.exec(page)!;
  assert.is(policy, `sha256-${createHash('sha256').update(script!).digest('base64')}`);
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
