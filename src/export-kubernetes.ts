/** The Job that makes features, for callers from outside. */
import { type KubernetesJobOptions, printKubernetesJob as print } from './export/kubernetes-job.ts';
import { checkCall } from './options.ts';

/** The manifest of the Job as YAML. Throws `bad-option`. */
export function printKubernetesJob(options: KubernetesJobOptions): string {
  checkCall('export k8s', options);
  return print(options);
}
