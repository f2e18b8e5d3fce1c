/** What the command line ends with for each code of an error. A test holds these lists against the catalogue. */

/** What was given is as it should be, and yet it failed, or a check did not hold. */
const FAILURES = `
  cache-damaged cache-unwritable disk-full emitted-model-differs external-data-gone features-damaged gate-failed
  gradient-misshapen loss-not-scalar names-broken never-pays no-gradient-rule no-path-to-loss no-shape-rule not-a-parameter not-printed output-failed
  package-damaged package-differs pass-broke-invariant raised-model-differs session-failed shape-mismatch shape-not-static
  shards-unusable training-diverged worker-ended
`;

/** What was given cannot be done, whoever tries again. */
const BAD_INPUT = `
  accuracy-unreachable already-compiled ambiguous-arrays ambiguous-layout ambiguous-output ambiguous-part
  arrays-missing bad-class-name bad-config bad-data-file bad-fractions bad-input-value bad-labels bad-model-config bad-option
  bad-preprocessing bad-shard bad-tokenizer bad-usage baked-unlabelled batch-not-widened budget-unreachable
  calibration-data-missing cannot-batch cannot-carry cannot-head cannot-raise-opset cannot-split class-folders
  class-without-samples config-missing data-not-found empty-dataset exit-classes-differ exit-elements-unknown
  exit-not-apart exits-do-not-fit exits-not-removable external-data-in-function external-data-missing
  external-data-name-taken external-data-outside external-data-too-short features-differ features-not-merged
  fields-missing first-class-count first-classes-unlike first-disagrees first-input-missing first-input-unlike
  first-is-original first-size-fixed first-tokenizer-unlike fixed-batch functions-too-deep functions-too-large
  id-out-of-range input-not-per-sample input-shape-unknown input-too-large invalid-graph invalid-manifest label-count-mismatch
  label-missing label-out-of-range labels-file-missing malformed-file malformed-tensor manifest-version-unknown
  model-endless model-not-loadable model-too-large name-taken name-unusable nested-too-deeply network-missing no-batch-axis
  no-class-scores no-confidence-heads no-inner-exit no-logits no-model-in-folder no-sample-input no-shards no-taps not-a-package
  not-an-image-input not-an-onnx-file not-class-scores not-comparable not-deterministic not-finite not-for-pipelines not-measured nothing-counted one-score
  opset-too-old opsets-differ original-missing other-model other-outputs output-not-empty output-unusable
  package-is-chain package-is-client package-is-server package-outdated package-without-heads point-not-built-in policy-outdated provider-missing
  sample-shape-mismatch scores-lost scores-not-finite samples-not-independent several-labels shards-mixed student-too-large student-unlike
  tokenizer-missing too-few-exit-outputs too-few-for-guarantee too-many-classes too-many-fields
  training-data-missing trial-run-failed truncated-file unknown-data-format unknown-dim unknown-exit unknown-input
  unknown-input-dim unknown-label unknown-operating-point unknown-output unknown-part unknown-setting unknown-tap
  unreadable-image unreadable-model unsupported-codec unsupported-input-type unsupported-type unusable-heads variant-missing view-needs-image
  wrong-head-count wrong-image-size wrong-threshold-count
`;

const codesIn = (list: string) => list.trim().split(/\s+/);

/** 1: it failed; 2: bad usage or input. */
export const EXIT_CODES: ReadonlyMap<string, 1 | 2> = new Map([
  ...codesIn(FAILURES).map((code) => [code, 1] as const),
  ...codesIn(BAD_INPUT).map((code) => [code, 2] as const),
]);
