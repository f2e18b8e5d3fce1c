/** Fields as batch/v1 Job has them: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { printKubernetesJob } from '../../src/commands/entries.ts';
import type { KubernetesJobOptions } from '../../src/export/kubernetes-job.ts';
import { hasCode } from '../expect.ts';

const test = suite('export: Kubernetes job');

const words = ['net.onnx', '--preset', 'imagenet', '--train', 'cifar/train', '--out', 'features'];
const printed = (more: Partial<KubernetesJobOptions> = {}) =>
  printKubernetesJob({ words, shards: 4, image: 'registry.example/offramp:1', claim: 'data', ...more });
const job = (more?: Partial<KubernetesJobOptions>) => parse(printed(more));

test('an Indexed Job with a completion for every shard', () => {
  const { apiVersion, kind, metadata, spec, ...rest } = job();
  assert.equal([apiVersion, kind, metadata.name, rest], ['batch/v1', 'Job', 'offramp-features', {}]);
  const { template, podFailurePolicy, ...counts } = spec;
  assert.equal(counts, {
    completions: 4,
    parallelism: 4,
    completionMode: 'Indexed',
    backoffLimitPerIndex: 3,
  });
  // What backoffLimitPerIndex and podFailurePolicy ask for.
  assert.is(template.spec.restartPolicy, 'Never');
  const [container, ...others] = template.spec.containers;
  assert.equal(others, []);
  assert.equal(podFailurePolicy.rules, [
    { action: 'FailJob', onExitCodes: { containerName: container.name, operator: 'In', values: [2] } },
  ]);
});

test('every pod runs the same command; strings stay strings', () => {
  const [container] = job().spec.template.spec.containers;
  const { command, args, image, workingDir } = container;
  assert.equal(command, ['offramp']);
  assert.equal(args, ['features', ...words, '--threads', '2', '--shards', '4', '--quiet']);
  assert.equal([image, workingDir], ['registry.example/offramp:1', '/data']);
  assert.not.match(printed(), /[&*]a\d/, 'no anchors');
  const odd = ['yes.onnx', '--train', '1e3', '--out', 'no', '--labels', '$(HOME)', '--threads', '7'];
  const told = job({ words: odd }).spec.template.spec.containers[0].args;
  assert.equal(told, ['features', ...odd.map((w) => w.replace('$', '$$$$')), '--shards', '4', '--quiet']);
});

test('the volume claim is mounted where the command runs, with the resources asked for', () => {
  const { containers, volumes } = job({
    mount: '/work',
    claim: 'cifar',
    cpu: '1500m',
    memory: '8Gi',
    gpus: 1,
  }).spec.template.spec;
  const [{ volumeMounts, workingDir, resources, args }] = containers;
  assert.equal(volumes, [{ name: volumeMounts[0].name, persistentVolumeClaim: { claimName: 'cifar' } }]);
  assert.equal([volumeMounts[0].mountPath, workingDir], ['/work', '/work']);
  const asked = { cpu: '1500m', memory: '8Gi', 'nvidia.com/gpu': 1 };
  assert.equal(resources, { requests: asked, limits: asked });
  assert.is(args[args.indexOf('--threads') + 1], '1');
});

test('parallelism, retries and name', () => {
  const { metadata, spec } = job({ parallelism: 2, retries: 0, name: 'resnet-56' });
  assert.equal([metadata.name, spec.parallelism, spec.backoffLimitPerIndex], ['resnet-56', 2, 0]);
  assert.is(job({ parallelism: 9 }).spec.parallelism, 4);
});

test('what Kubernetes or the pods would refuse is refused here', () => {
  const refused: Partial<KubernetesJobOptions>[] = [
    { shards: 0 },
    { shards: 2.5 },
    { retries: -1 },
    { parallelism: 0 },
    { gpus: -1 },
    { name: 'Features' },
    { name: '-x' },
    { name: 'a'.repeat(62) },
    { claim: 'a b' },
    { image: '' },
    { mount: 'data' },
    { cpu: 'two' },
    { cpu: '0' },
    { memory: '4 GB' },
    { words: [] },
    { words: words.slice(1) },
    { words: words.filter((w) => w !== '--out') },
    { words: ['net.onnx', '--out', 'f'] },
    { words: [...words, '--shard', '1/4'] },
    { words: [...words, '--shards=4'] },
    { words: ['net.onnx', '--train', 't', '--out=/tmp/features'] },
  ];
  for (const more of refused) assert.throws(() => printed(more), hasCode('bad-option'), JSON.stringify(more));
  printed({ words: ['net.onnx', '--train', 't', '--out=/data/features'], name: 'a'.repeat(61) });
});

test.run();
