/** An Indexed Job of Kubernetes that makes features, one pod a shard (https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/). */
import { printYaml } from '../emit/yaml.ts';
import { badOption, option } from '../errors/index.ts';

export interface KubernetesJobOptions {
  /** What follows `offramp features` on the command line, the model first; paths relative to `mount`, or below it. */
  readonly words: readonly string[];
  readonly shards: number;
  /** An image with `offramp` on its PATH. */
  readonly image: string;
  /** PersistentVolumeClaim with model and data, which the shards are written to as well; several nodes need ReadWriteMany. */
  readonly claim: string;
  /** Where the claim is mounted and commands run; `/data` by default. */
  readonly mount?: string;
  /** `offramp-features` by default. */
  readonly name?: string;
  /** Of each pod, as Kubernetes writes quantities: `2` and `4Gi` by default. */
  readonly cpu?: string;
  readonly memory?: string;
  /** NVIDIA GPUs of each pod; none by default. */
  readonly gpus?: number;
  /** Pods at a time; all by default. */
  readonly parallelism?: number;
  /** Times that one shard is tried again; 3 by default. */
  readonly retries?: number;
}

/** Exit code for bad usage and bad input, which no retry mends. */
const BAD_INPUT = 2;
/** Of a host name, which is the job's name and the index. */
const MOST_CHARACTERS = 63;

/** The manifest as YAML, for options that are by themselves as they should be. Throws `bad-option` where they contradict each other. */
export function printKubernetesJob(options: KubernetesJobOptions): string {
  const { words, shards, image, claim, mount = '/data', name = 'offramp-features', cpu = '2' } = options;
  const { memory = '4Gi', gpus = 0, parallelism = shards, retries = 3 } = options;
  const longest = MOST_CHARACTERS - `-${shards - 1}`.length;
  if (name.length > longest)
    throw badOption(
      option('name'),
      name,
      `at most ${longest} characters: the last shard's number is appended`,
    );
  const cores = coresOf(cpu);
  checkWords(words, mount);

  // In a container Node 20 sees the machine's cores, not its own.
  const threads = words.includes('--threads') ? [] : ['--threads', `${Math.max(1, Math.floor(cores))}`];
  const args = ['features', ...words, ...threads, '--shards', `${shards}`, '--quiet'];
  const resources = { cpu, memory, ...(gpus > 0 && { 'nvidia.com/gpu': gpus }) };
  const labels = { 'app.kubernetes.io/name': 'offramp', 'app.kubernetes.io/component': 'features' };
  return printYaml({
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, labels },
    spec: {
      completions: shards,
      parallelism: Math.min(parallelism, shards),
      completionMode: 'Indexed',
      backoffLimitPerIndex: retries,
      podFailurePolicy: {
        rules: [
          {
            action: 'FailJob',
            onExitCodes: { containerName: 'features', operator: 'In', values: [BAD_INPUT] },
          },
        ],
      },
      template: {
        metadata: { labels },
        spec: {
          restartPolicy: 'Never',
          containers: [
            {
              name: 'features',
              image,
              command: ['offramp'],
              // Kubernetes puts variables in for $(NAME), and a dollar sign for two.
              args: args.map((word) => word.replaceAll('$', '$$$$')),
              workingDir: mount,
              resources: { requests: resources, limits: resources },
              volumeMounts: [{ name: 'data', mountPath: mount }],
            },
          ],
          volumes: [{ name: 'data', persistentVolumeClaim: { claimName: claim } }],
        },
      },
    },
  });
}

/** Whether `text` begins as `printKubernetesJob` begins one. */
export const isKubernetesJob = (text: string): boolean =>
  text.startsWith('apiVersion: batch/v1\nkind: Job\n');

function checkWords(words: readonly string[], mount: string): void {
  const wordAfter = (option: string) =>
    words.find((word) => word.startsWith(`${option}=`))?.slice(option.length + 1) ??
    words[words.indexOf(option) + 1 || words.length];
  const [model = '', shard] = [words[0], words.find((word) => /^--shards?(=|$)/.test(word))];
  if (model === '' || model.startsWith('-'))
    throw badOption('--', words.join(' '), 'after -- the words for `offramp features`, the model first');
  if (shard !== undefined)
    throw badOption(shard, '(after --)', 'it before --: the Job tells every pod which shard is its own');
  for (const option of ['--train', '--out'])
    if (wordAfter(option) === undefined) throw badOption('--', words.join(' '), `${option} after --`);
  const out = wordAfter('--out')!;
  if (out.startsWith('/') && out !== mount && !out.startsWith(`${mount.replace(/\/$/, '')}/`))
    throw badOption(
      '--out',
      out,
      `a folder in the volume, below ${mount}: a pod takes everything else with it`,
    );
}

/** `2`, `0.5` or `1500m`. */
const coresOf = (cpu: string) => (cpu.endsWith('m') ? Number(cpu.slice(0, -1)) / 1000 : Number(cpu));
