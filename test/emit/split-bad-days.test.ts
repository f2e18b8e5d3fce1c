/** A server that is down, late, dying or talking nonsense: every call is answered, and says by whom. */
import * as ort from 'onnxruntime-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { flat, pause, rejection, type Subject, samples, subject } from './split-client.ts';
import type { Answer, Mood } from './split-server.ts';

const test = suite('emit: a split on bad days');

let shared: Subject;
test.before(async () => {
  shared = await subject();
});
test.before.each(() => {
  const { server } = shared;
  server.mood = undefined;
  server.metadata = { extensions: ['binary_tensor_data'] };
  server.requests.length = 0;
  server.others.length = 0;
});
test.after(() => shared.close());

type Options = Omit<Parameters<Subject['module']['Pets']['load']>[1], 'path' | 'url' | 'bytes'>;
type Model = Awaited<ReturnType<Subject['module']['Pets']['load']>>;

/** Does `act` with a model that asks the shared server. */
async function withModel(options: Partial<Options>, act: (model: Model) => Promise<void>): Promise<void> {
  const model = await shared.module.Pets.load(ort, { server: shared.server.url, ...options });
  await act(model);
  await model.release();
}

const DARK = flat(0);

test('down from the start: the last open exit here answers; where all are closed the last is opened for that', async () => {
  const { module, server, byHand } = shared;
  await server.stop();
  await withModel({}, async (model) => {
    const input = Float32Array.of(...DARK, ...flat(255), ...DARK);
    const results = await model.classify(input, { at: 'balanced' });
    assert.equal(
      results.map(({ where, exit, relativeCost }) => [where, exit, relativeCost]),
      [
        ['client, server unreachable', 0, 0.2],
        ['client', 0, 0.2],
        ['client, server unreachable', 0, 0.2],
      ],
    );
    const [closed] = await model.classify(DARK, { at: 'exact' });
    assert.equal([closed.where, closed.exit, closed.relativeCost], ['client, server unreachable', 0, 0.2]);
    assert.equal(closed.scores, results[0].scores);
    assert.ok(closed.scores.some((score) => score !== 0));
    const { statistics } = model;
    assert.match(statistics.problem!, /^the server cannot be reached: .*ECONNREFUSED/);
    assert.equal([statistics.asked, statistics.unanswered], [3, 3]);
    await server.start();
    const [back] = await model.classify(DARK, { at: 'exact' });
    assert.is(back.where, 'server');
    assert.equal([...back.scores], (await byHand(DARK, 'exact'))[0]!.scores);
    assert.is(statistics.problem, undefined);
  });
  assert.ok(module);
});

test("with offline: 'throw' a call rejects with what is wrong", async () => {
  const { module, server } = shared;
  await server.stop();
  await withModel({ offline: 'throw' }, async (model) => {
    const error = await rejection(model.classify(DARK));
    assert.instance(error, module.NotAnswered);
    assert.is((error as InstanceType<typeof module.NotAnswered>).where, 'client, server unreachable');
    assert.is((await model.classify(flat(255)))[0].where, 'client', 'who stays needs no server');
    assert.instance(
      await rejection(model.classify(Float32Array.of(...DARK, ...flat(255)))),
      module.NotAnswered,
    );
    const { samples, asked, unanswered, stayed } = model.statistics;
    assert.equal(
      { samples, asked, unanswered, stayed },
      { samples: 1, asked: 2, unanswered: 2, stayed: 0.5 },
    );
    await server.start();
    server.mood = (_, answer) => ({ ...answer, status: 400, body: Buffer.from('{"error":"no such input"}') });
    const refused = await rejection(model.classify(DARK));
    assert.is(refused.message, 'the server answers 400 (no such input)');
  });
});

test('an option that is none is answered with all there are', async () => {
  const { module, server } = shared;
  const load = (options: object) => module.Pets.load(ort, { server: server.url, ...options });
  const error = await rejection(load({ timeout: 5 }));
  assert.match(
    error.message,
    /no option timeout; there are server, headers, timeoutMs, .*offline.*, path, url/,
  );
  const plain = await rejection(load({ server: 'localhost:8080' }));
  assert.match(plain.message, /such as https:\/\/example\.org/);
});

test('dying in the midst of an answer: asked again, and answered once', async () => {
  const { server, byHand } = shared;
  let deaths = 0;
  server.mood = (_, answer, response) => {
    if (deaths++ >= 2) return answer;
    response.writeHead(200, { 'Content-Length': 1000 }).write('{"outputs"');
    setTimeout(() => response.destroy(), 5);
    return undefined;
  };
  await withModel({}, async (model) => {
    const [result] = await model.classify(DARK);
    assert.is(result.where, 'server');
    assert.equal([...result.scores], (await byHand(DARK, 'balanced'))[0]!.scores);
    assert.is(server.requests.length, 3);
    assert.is(model.statistics.samples, 1);
  });
  deaths = 0;
  await withModel({ retries: 1 }, async (model) => {
    assert.is((await model.classify(DARK))[0].where, 'client, server unreachable');
  });
  assert.is(server.requests.length, 5);
});

const LATE: Readonly<Record<string, Mood>> = {
  'late with its answer': async (_, answer) => {
    await pause(1500);
    return answer;
  },
  'silent in the midst of an answer': (_, __, response) => {
    response.writeHead(200, { 'Content-Length': 1000 }).write('{');
    return undefined;
  },
  'dripping without end': (_, __, response) => {
    const drip = setInterval(() => response.write(' '), 10);
    response.writeHead(200).on('close', () => clearInterval(drip));
    return undefined;
  },
  'busy, and slow to say it': (_, answer, response) => {
    response.writeHead(503).write('{');
    return answer && undefined;
  },
};

for (const [name, mood] of Object.entries(LATE)) {
  test(`${name}: a call waits for timeoutMs and no longer`, async () => {
    shared.server.mood = mood;
    await withModel({ timeoutMs: 250 }, async (model) => {
      const began = performance.now();
      const [result] = await model.classify(DARK);
      const took = performance.now() - began;
      assert.is(result.where, 'client, server unreachable');
      assert.is(model.statistics.problem, 'the server has not answered within 250 ms');
      assert.ok(took > 200 && took < 1400, `${took} ms`);
    });
  });
}

test('a fetch, headers or a first page that never come are waited for no longer either', async () => {
  const never = () => new Promise<never>(() => {});
  for (const options of [{ fetch: never }, { headers: never }])
    await withModel({ timeoutMs: 100, ...options }, async (model) => {
      assert.is((await model.classify(DARK))[0].where, 'client, server unreachable');
    });
});

/** The outputs changed: [scores, exit, confidence] in the model's order. */
const changed =
  (change: (outputs: Answer['outputs']) => void): Mood =>
  (_, answer) => {
    change(answer.outputs);
    return answer;
  };
const floats = (...values: number[]) => Buffer.from(Float32Array.from(values).buffer);
const exitOf = (exit: number) => Buffer.from(BigInt64Array.of(BigInt(exit)).buffer);
const bodyOf = (text: string, headers: Record<string, string> = {}): Mood => {
  return (_, answer) => ({ ...answer, headers, body: Buffer.from(text) });
};
const JSON_LENGTH = 'Inference-Header-Content-Length';

const NONSENSE: Readonly<Record<string, readonly [Mood, string]>> = {
  'another shape': [
    changed(([scores]) => {
      scores!.shape = [1, 4];
      scores!.bytes = floats(1, 2, 3, 4);
    }),
    'output "logits": FP32 [1, 3] expected, got FP32 [1, 4]',
  ],
  'axes the other way round': [
    changed(([scores]) => {
      scores!.shape = [3, 1];
    }),
    'output "logits": FP32 [1, 3] expected, got FP32 [3, 1]',
  ],
  'too many rows': [
    changed((outputs) => {
      outputs[2]!.shape = [2];
      outputs[2]!.bytes = floats(1, 2);
    }),
    'output "exit_confidence": FP32 [1] expected, got FP32 [2]',
  ],
  'no rows': [
    changed((outputs) => {
      outputs[1]!.shape = [0];
      outputs[1]!.bytes = Buffer.alloc(0);
    }),
    'output "exit_index": INT64 [1] expected, got INT64 [0]',
  ],
  'another type': [
    changed(([scores]) => {
      scores!.datatype = 'FP64';
    }),
    'output "logits": FP32 [1, 3] expected, got FP64 [1, 3]',
  ],
  'too few bytes': [
    changed(([scores]) => {
      scores!.bytes = floats(1, 2);
    }),
    'output "logits": 12 bytes expected, got 8',
  ],
  'NaN among the scores': [
    changed(([scores]) => {
      scores!.bytes = floats(1, Number.NaN, 3);
    }),
    'output "logits": the scores of sample 0 say nothing',
  ],
  'an infinite score': [
    changed(([scores]) => {
      scores!.bytes = floats(1, Number.POSITIVE_INFINITY, 3);
    }),
    'output "logits": the scores of sample 0 say nothing',
  ],
  'NaN as confidence': [
    changed((outputs) => {
      outputs[2]!.bytes = floats(Number.NaN);
    }),
    'output "exit_confidence": sample 0 is NaN',
  ],
  'an exit of the client': [
    changed((outputs) => {
      outputs[1]!.bytes = exitOf(0);
    }),
    'output "exit_index": 1 to 2 expected, sample 0 has 0',
  ],
  'an exit that is none': [
    changed((outputs) => {
      outputs[1]!.bytes = exitOf(3);
    }),
    'output "exit_index": 1 to 2 expected, sample 0 has 3',
  ],
  'other names': [
    changed(([scores]) => {
      scores!.name = 'probabilities';
    }),
    'it has no output "logits"',
  ],
  'an output twice': [
    changed((outputs) => {
      outputs.push(outputs[0]!);
    }),
    'output "logits" is there twice',
  ],
  'another model': [
    (_, answer) => ({ ...answer, model_name: 'pets_rest_000000000000' }),
    'it is that of "pets_rest_000000000000", not of "pets_rest_',
  ],
  'no JSON': [bodyOf('<html>welcome</html>'), 'it is not JSON'],
  'nothing at all': [bodyOf(''), 'null, of a body of 0 bytes'],
  'JSON that is no object': [bodyOf('null'), 'it has no outputs'],
  'outputs that are none': [bodyOf('{"outputs":[null]}'), 'one of its outputs is no object'],
  'data that are no numbers': [
    bodyOf(
      '{"outputs":[{"name":"logits","datatype":"FP32","shape":[1,3],"data":[1,"2",null]},{"name":"exit_index","datatype":"INT64","shape":[1],"data":[2]},{"name":"exit_confidence","datatype":"FP32","shape":[1],"data":[0.5]}]}',
    ),
    'output "logits": 3 numbers expected',
  ],
  'a JSON length beyond the end': [
    bodyOf('{"outputs":[]}', { [JSON_LENGTH]: '99' }),
    'is 99, of a body of 14 bytes',
  ],
  'a JSON length that is no number': [
    bodyOf('{"outputs":[]}', { [JSON_LENGTH]: 'many' }),
    'is many, of a body',
  ],
  'a negative JSON length': [bodyOf('{"outputs":[]}', { [JSON_LENGTH]: '-3' }), 'is -3, of a body'],
  'bytes without a JSON length': [bodyOf('{"outputs":[]}\u0000\u0001'), 'Access-Control-Expose-Headers'],
  'bytes that belong to nothing': [
    bodyOf('{"outputs":[]}abc', { [JSON_LENGTH]: '14' }),
    '3 bytes of it belong to no output',
  ],
  'a size beyond the end': [
    bodyOf('{"outputs":[{"name":"logits","parameters":{"binary_data_size":99}}]}', { [JSON_LENGTH]: '68' }),
    'output "logits": 99 bytes of 0 that are left',
  ],
};

for (const [name, [mood, problem]] of Object.entries(NONSENSE)) {
  test(`nonsense is refused by name: ${name}`, async () => {
    shared.server.mood = mood;
    await withModel({}, async (model) => {
      const [result] = await model.classify(DARK);
      assert.is(result.where, 'client, server refused');
      assert.is(result.exit, 0);
      assert.match(model.statistics.problem!, `the server's answer makes no sense: `);
      assert.match(model.statistics.problem!, problem);
      assert.is(shared.server.requests.length, 1, 'not asked again');
      shared.server.mood = undefined;
      assert.is((await model.classify(DARK))[0].where, 'server');
    });
  });
}

test('an answer without end is read no further than any right one could go', async () => {
  shared.server.mood = (_, __, response) => {
    response.writeHead(200);
    const more = () => {
      if (!response.destroyed) response.write(Buffer.alloc(65_536, 32), () => setImmediate(more));
    };
    more();
    return undefined;
  };
  await withModel({}, async (model) => {
    const [result] = await model.classify(DARK);
    assert.is(result.where, 'client, server refused');
    assert.match(model.statistics.problem!, /^the server's answer has more than \d+ bytes$/);
    assert.ok(model.statistics.bytesReceived < 400_000);
  });
});

const statusOf = (status: number, text: string, headers: Record<string, string> = {}): Mood => {
  return (_, answer) => ({ ...answer, status, headers, body: Buffer.from(text) });
};

test('statuses: what may pass is asked again, what will not is refused in the words of the server', async () => {
  const cases: readonly (readonly [Mood, string, number, RegExp])[] = [
    [
      statusOf(500, '{"error":"out of\\nmemory"}'),
      'refused',
      1,
      /^the server answers 500 \(out of memory\)$/,
    ],
    [statusOf(401, '<html>login</html>'), 'refused', 1, /^the server answers 401$/],
    [statusOf(413, 'too large'), 'refused', 1, /^the server answers 413 \(too large\)$/],
    [statusOf(307, '', { Location: 'http://127.0.0.1:1/' }), 'refused', 1, /sends elsewhere/],
    [statusOf(502, ''), 'unreachable', 3, /^the server answers 502$/],
    [statusOf(503, '{"error":"not ready"}'), 'unreachable', 3, /^the server answers 503 \(not ready\)$/],
    [statusOf(504, ''), 'unreachable', 3, /^the server answers 504$/],
    [statusOf(429, '', { 'Retry-After': '0' }), 'unreachable', 3, /^the server answers 429$/],
    [statusOf(503, '', { 'Retry-After': '60' }), 'unreachable', 1, /^the server answers 503$/],
  ];
  for (const [mood, where, requests, problem] of cases) {
    shared.server.mood = mood;
    shared.server.requests.length = 0;
    await withModel({}, async (model) => {
      assert.is((await model.classify(DARK))[0].where, `client, server ${where}`);
      assert.match(model.statistics.problem!, problem);
      assert.is(shared.server.requests.length, requests, String(problem));
    });
  }
});

test('a server that asks for a second is given one, and then it answers', async () => {
  const { server } = shared;
  server.mood = (_, answer) =>
    server.requests.length > 1
      ? answer
      : { ...answer, status: 503, headers: { 'Retry-After': '1' }, body: Buffer.of() };
  await withModel({ timeoutMs: 5000 }, async (model) => {
    const began = performance.now();
    assert.is((await model.classify(DARK))[0].where, 'server');
    assert.ok(performance.now() - began >= 1000);
  });
});

test('a server of another split is a 404 with a plain reason', async () => {
  const { FakeServer } = await import('./split-server.ts');
  const other = await new FakeServer({}).start();
  await withModel({ server: other.url }, async (model) => {
    assert.is((await model.classify(DARK))[0].where, 'client, server refused');
    const { balanced } = shared.module.split.models;
    assert.match(
      model.statistics.problem!,
      `the server answers 404: it has no model "${balanced}"; client and server are of different splits (install the client again), or the URL is another server's (Request for unknown model`,
    );
  });
  await other.stop();
});

test('a server that does not say what it can is spoken to in JSON', async () => {
  for (const metadata of [undefined, 'hello', '{"extensions":7}', {}]) {
    shared.server.metadata = metadata;
    shared.server.requests.length = 0;
    await withModel({}, async (model) => {
      assert.is((await model.classify(DARK))[0].where, 'server');
      assert.is(shared.server.requests[0]!.isBinary, false);
    });
  }
});

test('beyond maxInFlight calls are answered here at once', async () => {
  const { server } = shared;
  server.mood = async (_, answer) => {
    await pause(300);
    return answer;
  };
  await withModel({ maxInFlight: 2 }, async (model) => {
    const calls: Promise<string>[] = [];
    for (let call = 0; call < 4; call++) {
      calls.push(model.classify(DARK).then(([result]) => result.where));
      await pause(40);
    }
    const unreachable = 'client, server unreachable';
    assert.equal(await Promise.all(calls), ['server', 'server', unreachable, unreachable]);
    assert.is(server.requests.length, 2);
    assert.is((await model.classify(DARK))[0].where, 'server', 'the places are free again');
  });
});

test('a call that is aborted rejects with the reason; those that share its request are answered', async () => {
  const { server } = shared;
  server.mood = async (_, answer) => {
    await pause(200);
    return answer;
  };
  await withModel({}, async (model) => {
    const reason = new Error('the user has gone');
    assert.is(await rejection(model.classify(DARK, { signal: AbortSignal.abort(reason) })), reason);
    const controller = new AbortController();
    const aborted = rejection(model.classify(DARK, { signal: controller.signal }));
    const other = model.classify(DARK, { signal: new AbortController().signal });
    setTimeout(() => controller.abort(reason), 80);
    assert.is(await aborted, reason);
    assert.is((await other)[0].where, 'server');
    assert.is(server.requests.length, 1);
    const inFront = new AbortController();
    const early = rejection(model.classify(DARK, { signal: inFront.signal }));
    inFront.abort(reason);
    assert.is(await early, reason);
    assert.is((await model.classify(DARK))[0].where, 'server');
    assert.is(server.requests.length, 2, 'an aborted call asks nothing');
    assert.is(model.statistics.samples, 2);
  });
});

test('a request that nobody waits for any more is ended', async () => {
  const { server } = shared;
  server.mood = () => undefined;
  await withModel({}, async (model) => {
    const controller = new AbortController();
    const calls = [1, 2].map(() => rejection(model.classify(DARK, { signal: controller.signal })));
    while (server.requests.length === 0) await pause(5);
    controller.abort();
    for (const error of await Promise.all(calls)) assert.is(error.name, 'AbortError');
    for (let i = 0; i < 200 && !server.requests[0]!.isGone(); i++) await pause(5);
    assert.ok(server.requests[0]!.isGone());
    assert.is(model.statistics.problem, undefined);
  });
});

test('release waits for open calls, those too that are answered here in the end', async () => {
  const { server } = shared;
  server.mood = async (request, answer) => {
    await pause(150);
    return request.rows === 1 ? answer : { ...answer, status: 500, body: Buffer.of() };
  };
  const model = await shared.module.Pets.load(ort, { server: server.url });
  const one = model.classify(DARK);
  await pause(30);
  const two = model.classify(samples(6, 2), { at: 'exact' });
  const released = model.release();
  assert.is((await rejection(model.classify(DARK))).message, 'this Pets has been released');
  assert.is((await one)[0].where, 'server');
  assert.ok((await two).some(({ where }) => where === 'client, server refused'));
  await released;
  await model.release();
});

test('headers are the caller’s, given or made for each request; none of them is in what is told', async () => {
  const { server } = shared;
  const asked: string[] = [];
  const headers = { authorization: 'Bearer s3cret', 'content-type': 'text/plain', [JSON_LENGTH]: '1' };
  const made = async () => {
    asked.push('made');
    return headers;
  };
  const lists = [new Headers(headers), new Map(Object.entries(headers)), Object.entries(headers)];
  for (const given of [headers, made, ...lists])
    await withModel({ headers: given }, async (model) => {
      assert.is((await model.classify(DARK))[0].where, 'server');
    });
  assert.is(asked.length, 2, 'GET /v2, and the request');
  for (const request of server.requests) {
    assert.is(request.headers.authorization, 'Bearer s3cret');
    assert.is(request.headers['content-type'], 'application/octet-stream');
  }
  for (const [given, where] of [
    [{ authorization: 's3cret\n' }, 'client, server refused'],
    [{ 'a b': 's3cret' }, 'client, server refused'],
    [() => Promise.reject(new Error('no token')), 'client, server unreachable'],
    [() => undefined, 'client, server unreachable'],
    [() => ({ authorization: undefined }), 'client, server unreachable'],
  ] as const)
    await withModel({ headers: given as never }, async (model) => {
      assert.is((await model.classify(DARK))[0].where, where);
      assert.match(model.statistics.problem!, /^headers: /);
      assert.not.match(model.statistics.problem!, 's3cret');
    });
});

test('options that make no sense are refused when the model is loaded, a fetch that gives none when it is asked', async () => {
  const { module, server } = shared;
  const refusal = async (source: unknown) =>
    (await rejection(module.Pets.load(ort, source as never))) as TypeError & { code?: string };
  for (const source of [undefined, null, 'http://x']) {
    const error = await refusal(source);
    assert.instance(error, TypeError);
    assert.is(error.code, 'bad-call');
    assert.match(error.message, /^Pets\.load takes \{ server \}/);
  }
  for (const [options, says] of [
    [{ headers: null }, /^headers: an object of texts expected/],
    [{ headers: 'a: b' }, /^headers: an object of texts expected/],
    [{ headers: ['a'] }, /^headers: .*pairs/],
    [{ headers: { a: undefined } }, /^headers: a text expected for "a"/],
    [{ fetch: 5 }, /^fetch: a function expected, got 5/],
    [{ model: 'm.onnx' }, /no option model/],
  ] as const)
    assert.match((await refusal({ server: server.url, ...options })).message, says);
  const fetches = [
    () => undefined,
    async () => ({ status: 200, ok: true }),
    () => {
      throw null;
    },
  ];
  for (const fetch of fetches)
    await withModel({ fetch: fetch as never, retries: 0 }, async (model) => {
      assert.match((await model.classify(DARK))[0].where, /^client, server/);
    });
  await withModel({}, async (model) => {
    for (const signal of ['x', {}])
      assert.match((await rejection(model.classify(DARK, { signal } as never))).message, /^signal: /);
  });
});

test('the URL is that of the server or of the model on it; others are refused before anything is opened', async () => {
  const { server, module } = shared;
  const { balanced } = module.split.models;
  for (const path of [
    '',
    '/',
    '/v2',
    '/v2/models/pets_rest',
    `/v2/models/${balanced}/`,
    '?key=7',
    '/v2/models/pets_rest?key=7',
  ])
    await withModel({ server: server.url + path }, async (model) => {
      assert.is((await model.classify(DARK))[0].where, 'server', path);
      assert.is(server.requests.at(-1)!.path, `/v2/models/${balanced}/infer${path.match(/\?.*/)?.[0] ?? ''}`);
    });
  const load = async (options: object) => (await rejection(module.Pets.load(ort, options as never))).message;
  assert.match(
    await load({}),
    'server: the URL of the server that has the rest of the model expected, got undefined',
  );
  assert.match(await load({ server: 'not a url' }), 'expected, got not a url');
  assert.match(
    await load({ server: 'ftp://example.org' }),
    'http or https expected, such as https://example.org, got one of ftp:',
  );
  assert.match(await load({ server: 'https://me:secret@example.org' }), 'without a user and a password');
  assert.match(
    await load({ server: 'https://example.org/v2/models/cars_rest' }),
    '"pets_rest", not "cars_rest"',
  );
  const url = { server: server.url };
  for (const timeoutMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
    assert.match(
      await load({ ...url, timeoutMs }),
      `timeoutMs: milliseconds up to 2147483647 expected, got ${timeoutMs}`,
    );
  assert.match(await load({ ...url, retries: -1 }), 'retries: a whole number from 0 up expected, got -1');
  for (const odd of [-1, Number.NaN, Number.POSITIVE_INFINITY, '5', '', null, true, 5n])
    for (const name of ['restMs', 'timeoutMs'])
      assert.match(await load({ ...url, [name]: odd }), `${name}: milliseconds `);
  assert.match(
    await load({ ...url, maxInFlight: 0 }),
    'maxInFlight: a whole number from 1 up expected, got 0',
  );
  assert.match(await load({ ...url, maxBatch: 1.5 }), 'maxBatch: a whole number from 1 up expected, got 1.5');
  assert.match(
    await load({ ...url, offline: 'panic' }),
    "offline: 'answer' or 'throw' expected, got 'panic'",
  );
});

test('a server that is down is no drift: samples that it would have answered count as gone on', async () => {
  const { server, module } = shared;
  // A third leaves at each exit, as measured.
  const third = Float32Array.of(...flat(255), ...DARK, ...DARK);
  const many = Float32Array.from({ length: third.length * 20 }, (_, i) => third[i % third.length]!);
  await server.stop();
  await withModel({ retries: 0 }, async (model) => {
    for (let call = 0; call < 20; call++) await model.classify(many, { at: 'balanced' });
    assert.equal(model.statistics.counts, [1200, 0, 0]);
    const drift = model.statistics.drift!;
    assert.is(drift.alarm, false);
    assert.ok(Math.abs(drift.observed[1]! - drift.observed[2]!) <= 2, String(drift.observed));
  });
  await server.start();
  assert.ok(module);
});

/** A server that takes requests and never answers. */
const silent: Mood = () => undefined;

/** Until the shared server has had so many requests. */
async function requested(count: number): Promise<void> {
  const end = performance.now() + 10_000;
  while (shared.server.requests.length < count && performance.now() < end) await pause(5);
  assert.is(shared.server.requests.length, count);
}

test('a server that does not answer three calls in a row is left alone; then one tries it, and the others follow', async () => {
  const { server } = shared;
  server.mood = silent;
  await withModel({ timeoutMs: 700, restMs: 1500 }, async (model) => {
    const whereOf = async () => (await model.classify(DARK))[0].where;
    for (let call = 0; call < 3; call++) assert.is(await whereOf(), 'client, server unreachable');
    assert.is(server.requests.length, 3);
    const began = performance.now();
    for (let call = 0; call < 20; call++) assert.is(await whereOf(), 'client, server unreachable');
    assert.ok(performance.now() - began < 1500, 'nobody waits');
    assert.is(server.requests.length, 3, 'nobody asks');
    assert.match(model.statistics.problem!, /not answered within 700 ms/);
    await pause(1600);
    // One of them tries, and waits; the others, which come later, do not.
    const trial = whereOf();
    await requested(4);
    assert.is(await whereOf(), 'client, server unreachable');
    assert.is(server.requests.length, 4);
    assert.is(await trial, 'client, server unreachable');
    server.mood = undefined;
    assert.is(await whereOf(), 'client, server unreachable', 'a trial that fails begins the next rest');
    await pause(1600);
    assert.is(await whereOf(), 'server');
    assert.equal(await Promise.all([whereOf(), whereOf()]), ['server', 'server']);
  });
});

test('what is left alone says why and for how long; Retry-After may be longer; with restMs 0, or refused, it is always asked', async () => {
  const { module, server } = shared;
  const busy: Mood = (_, answer) => ({ ...answer, status: 503, headers: { 'Retry-After': '7' } });
  const askFourTimes = async (model: Model) => {
    const errors: Error[] = [];
    for (let call = 0; call < 4; call++) errors.push(await rejection(model.classify(DARK)));
    return errors.at(-1) as InstanceType<typeof module.NotAnswered>;
  };
  server.mood = busy;
  await withModel({ offline: 'throw', restMs: 1000 }, async (model) => {
    const error = await askFourTimes(model);
    assert.match(
      error.message,
      /^the server is left alone for 7000 ms \(restMs, or as it asked\): it did not answer 3 times in a row \(the server answers 503/,
    );
    assert.ok(error.againMs! > 6000 && error.againMs! <= 7000, String(error.againMs));
    assert.is(server.requests.length, 3);
  });
  server.requests.length = 0;
  await withModel({ offline: 'throw', restMs: 0 }, async (model) => {
    await askFourTimes(model);
    assert.is(server.requests.length, 4);
  });
  server.requests.length = 0;
  server.mood = (_, answer) => ({ ...answer, status: 404, body: Buffer.from('{}') });
  await withModel({ offline: 'throw' }, async (model) => {
    await askFourTimes(model);
    assert.is(server.requests.length, 4);
  });
});

test('calls that fail side by side count once, and late failures of old ones not at all', async () => {
  const { server } = shared;
  // What it says of itself is asked for once by all who come meanwhile.
  let pages = 0;
  const firstPageBusy: typeof fetch = async (url, init) => {
    if (!String(url).endsWith('/v2') || pages++ > 0) return fetch(url, init);
    await pause(500);
    return new Response('', { status: 503 });
  };
  await withModel({ retries: 0, fetch: firstPageBusy }, async (model) => {
    const calls = Array.from({ length: 4 }, async (_, i) => {
      await pause(5 * i);
      return (await model.classify(DARK))[0].where;
    });
    assert.equal(new Set(await Promise.all(calls)), new Set(['client, server unreachable']));
    assert.is((await model.classify(DARK))[0].where, 'server');
  });
  server.mood = silent;
  server.requests.length = 0;
  await withModel({ timeoutMs: 1500 }, async (model) => {
    const old = Array.from({ length: 4 }, async (_, i) => {
      await pause(5 * i);
      return (await model.classify(DARK))[0].where;
    });
    await requested(4);
    server.mood = undefined;
    assert.is((await model.classify(DARK))[0].where, 'server');
    assert.equal(new Set(await Promise.all(old)), new Set(['client, server unreachable']));
    assert.is((await model.classify(DARK))[0].where, 'server');
  });
});

test('headers that fail say nothing of the server; who leaves the trial lets others try; nobody is left alone for hours', async () => {
  const { server } = shared;
  const token = { isOld: true };
  const headers = () => {
    if (token.isOld) throw new Error('token expired');
    return {};
  };
  await withModel({ headers, restMs: 60_000 }, async (model) => {
    for (let call = 0; call < 4; call++)
      assert.is((await model.classify(DARK))[0].where, 'client, server unreachable');
    token.isOld = false;
    assert.is((await model.classify(DARK))[0].where, 'server');
  });
  server.mood = silent;
  server.requests.length = 0;
  await withModel({ timeoutMs: 1000, restMs: 100 }, async (model) => {
    for (let call = 0; call < 3; call++) await model.classify(DARK);
    await pause(150);
    const leaving = new AbortController();
    const trial = rejection(model.classify(DARK, { signal: leaving.signal }));
    await requested(4);
    server.mood = undefined;
    assert.is((await model.classify(DARK))[0].where, 'client, server unreachable', 'while it tries');
    leaving.abort(new Error('gone'));
    assert.is((await trial).message, 'gone');
    assert.is((await model.classify(DARK))[0].where, 'server');
  });
  server.mood = (_, answer) => ({ ...answer, status: 503, headers: { 'Retry-After': '86400' } });
  await withModel({ offline: 'throw' }, async (model) => {
    for (let call = 0; call < 3; call++) await rejection(model.classify(DARK));
    assert.match((await rejection(model.classify(DARK))).message, 'left alone for 60000 ms');
  });
});

test('a call of many requests counts once, and as answered where one of them is', async () => {
  const { server } = shared;
  const four = Float32Array.from([DARK, DARK, DARK, DARK].flatMap((one) => [...one]));
  const askedBy = async (mood: Mood, options: Partial<Options>) => {
    server.requests.length = 0;
    server.mood = mood;
    const counts: number[] = [];
    await withModel({ maxBatch: 1, ...options }, async (model) => {
      for (let call = 0; call < 5; call++) {
        await model.classify(four);
        counts.push(server.requests.length);
      }
    });
    return counts;
  };
  assert.equal(await askedBy(silent, { timeoutMs: 1000 }), [4, 8, 12, 12, 12]);
  let turn = 0;
  // Of each call the first request is answered, and the second one is not.
  const late: Mood = (_, answer) => (turn++ % 2 === 0 ? answer : undefined);
  assert.equal(await askedBy(late, { timeoutMs: 1000, maxInFlight: 1 }), [2, 4, 6, 8, 10]);
});

test('under load, the server killed and restarted: every call answered, each marked by where, each rightly', async () => {
  const { server, byHand } = shared;
  const input = samples(3, 11);
  const expected = await byHand(input, 'balanced');
  const here = (await byHand(input, 'balanced')).map(({ where }) => where);
  await withModel({ timeoutMs: 500, maxInFlight: 4, restMs: 100 }, async (model) => {
    const end = performance.now() + 4000;
    const counts = new Map<string, number>();
    let calls = 0;
    const client = async () => {
      while (performance.now() < end) {
        const results = await model.classify(input, { at: 'balanced' });
        calls++;
        for (const [n, { where, scores }] of results.entries()) {
          counts.set(where, (counts.get(where) ?? 0) + 1);
          if (where === 'client' || where === 'server') {
            assert.is(where, here[n]);
            assert.equal([...scores], expected[n]!.scores);
          } else assert.is(here[n], 'server');
        }
        await pause(5);
      }
    };
    const killer = async () => {
      for (let kill = 0; kill < 3; kill++) {
        await pause(600);
        await server.stop();
        await pause(400);
        await server.start();
      }
    };
    await Promise.all([...Array.from({ length: 6 }, client), killer()]);
    assert.is(
      [...counts.values()].reduce((a, b) => a + b),
      3 * calls,
    );
    assert.is(model.statistics.samples, 3 * calls);
    assert.ok(
      counts.get('server')! > 0 && counts.get('client, server unreachable')! > 0,
      String([...counts]),
    );
    assert.not(counts.has('client, server refused'));
    await pause(100);
    assert.is((await model.classify(DARK))[0].where, 'server');
  });
});

test.run();
