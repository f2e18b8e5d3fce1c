/** An InferenceService of KServe, whose Triton serves a model repository (https://kserve.github.io/website/docs/reference/crd-api, serving.kserve.io/v1beta1). */
import { printYaml } from '../emit/yaml.ts';

export interface InferenceServiceOptions {
  /** Lower-case letters, digits and -. */
  readonly name: string;
  /** Where the cluster finds the model repository. */
  readonly storage: string;
  /** Of each replica, as Kubernetes writes quantities. */
  readonly cpu: string;
  readonly memory: string;
  readonly minReplicas: number;
  readonly maxReplicas: number;
}

/** As YAML. The runtime is KServe's own for Triton, which reads /mnt/models, where `storage` is put, as a model repository. */
export const printInferenceService = (options: InferenceServiceOptions): string => {
  const { name, storage, cpu, memory, minReplicas, maxReplicas } = options;
  const resources = { cpu, memory };
  return printYaml({
    apiVersion: 'serving.kserve.io/v1beta1',
    kind: 'InferenceService',
    metadata: { name, labels: { 'app.kubernetes.io/name': 'offramp' } },
    spec: {
      predictor: {
        minReplicas,
        maxReplicas,
        model: {
          modelFormat: { name: 'triton', version: '2' },
          runtime: 'kserve-tritonserver',
          protocolVersion: 'v2',
          storageUri: storage,
          resources: { requests: resources, limits: resources },
        },
      },
    },
  });
};
