/** YAML that readers of 1.1 (PyYAML, Go's) and of 1.2 understand alike: to those of 1.1 a plain `no` is false. */
import { stringify } from 'yaml';

/** No line is folded, and nothing is said by an alias. Ends with a line break. */
export const printYaml = (value: unknown): string =>
  stringify(value, { lineWidth: 0, aliasDuplicateObjects: false, compat: 'yaml-1.1' });
