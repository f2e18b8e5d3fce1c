/**
 * Graphs as text, in ONNX's textual syntax (docs/Syntax.md of onnx/onnx), for goldens and for reading.
 * It holds all that the graph types do, but large tensors are only a hash, so the text cannot be parsed back.
 * A node's label is left out when it is the name of its first output.
 */
import { createHash } from 'node:crypto';
import { elementCount, toNumbers } from './tensor.ts';
import type { Attribute, Graph, Model, Node, Tensor, TensorType, ValueInfo } from './types.ts';

/** Tensors of more elements are printed as `<sha256:…>`, the first 8 digits of their bytes' hash. */
const MAX_PRINTED_ELEMENTS = 8;

export function printModel(model: Model): string {
  const pairs = (list: readonly (readonly [string, string])[]) =>
    `[${list.map(([key, value]) => `${quote(key)} : ${value}`).join(', ')}]`;
  const header = [
    `ir_version: ${model.irVersion}`,
    `opset_import: ${pairs(model.opsetImports.map((o) => [o.domain, String(o.version)]))}`,
  ];
  if (model.producerName) header.push(`producer_name: ${quote(model.producerName)}`);
  if (model.producerVersion) header.push(`producer_version: ${quote(model.producerVersion)}`);
  if (model.metadataProps.length) {
    header.push(`metadata_props: ${pairs(model.metadataProps.map((p) => [p.key, quote(p.value)]))}`);
  }
  if (model.functionCount) header.push(`functions: ${model.functionCount}`);
  return `<\n${header.map((line) => `  ${line}`).join(',\n')}\n>\n${printGraph(model.graph)}`;
}

/** Ends in a newline. */
export const printGraph = (graph: Graph): string => `${graphText(graph, '')}\n`;

/** `indent`: that of the line the graph starts on. */
function graphText(graph: Graph, indent: string): string {
  const inner = `${indent}  `;
  const values = [
    ...graph.initializers.map((t) => `${tensorType(t)} ${id(t.name)} = ${elements(t)}`),
    ...graph.sparseInitializers.map((t) => `sparse_tensor ${id(t.name)} = ...`),
    ...graph.valueInfo.map(valueInfo),
  ];
  const head = `${id(graph.name)} (${graph.inputs.map(valueInfo).join(', ')}) => (${graph.outputs.map(valueInfo).join(', ')})`;
  return [
    values.length ? `${head} <` : `${head} {`,
    ...values.map((line, i) => `${inner}${line}${i < values.length - 1 ? ',' : ''}`),
    ...(values.length ? [`${indent}> {`] : []),
    ...graph.nodes.map((node) => inner + nodeText(node, inner)),
    `${indent}}`,
  ].join('\n');
}

function nodeText(node: Node, indent: string): string {
  const label = node.name && node.name !== node.outputs[0] ? `[${id(node.name)}] ` : '';
  const op = node.domain ? `${node.domain}.${node.opType}` : node.opType;
  const entries = Object.entries(node.attributes);
  const hasGraph = entries.some(([, a]) => a.type === 'GRAPH' || a.type === 'GRAPHS');
  const inputs = ` (${node.inputs.map(id).join(', ')})`;
  const attributes = entries.map(([name, a]) => attributeText(name, a, indent)).join(', ');
  const list = entries.length ? ` <${attributes}>` : '';
  return `${label}${node.outputs.map(id).join(', ')} = ${op}${hasGraph ? inputs + list : list + inputs}`;
}

function attributeText(name: string, attribute: Attribute, indent: string): string {
  return `${name}: ${attribute.type.toLowerCase()} = ${attributeValue(attribute, indent)}`;
}

function attributeValue(a: Attribute, indent: string): string {
  const list = <T>(values: readonly T[], print: (value: T) => string) => `[${values.map(print).join(', ')}]`;
  switch (a.type) {
    case 'FLOAT':
      return float(a.value);
    case 'INT':
      return int(a.value);
    case 'STRING':
      return quote(a.value);
    case 'TENSOR':
      return tensorText(a.value);
    case 'GRAPH':
      return graphText(a.value, indent);
    case 'FLOATS':
      return list(a.value, float);
    case 'INTS':
      return list(a.value, int);
    case 'STRINGS':
      return list(a.value, quote);
    case 'TENSORS':
      return list(a.value, tensorText);
    case 'GRAPHS':
      return list(a.value, (g) => graphText(g, indent));
    case 'OPAQUE':
      return '...';
  }
}

const valueInfo = ({ name, type }: ValueInfo) => (type ? `${typeText(type)} ${id(name)}` : id(name));

/** `float` is a scalar, `float[]` a tensor of unknown rank. */
function typeText({ dataType, dims }: TensorType): string {
  if (!dims) return `${dataType}[]`;
  const dim = (d: number | string | undefined) => (typeof d === 'string' ? id(d) : (d ?? '?'));
  return dims.length ? `${dataType}[${dims.map(dim).join(',')}]` : dataType;
}

const tensorType = ({ dataType, dims }: Tensor) => typeText({ dataType, dims });

const tensorText = (tensor: Tensor) =>
  `${tensorType(tensor)} ${tensor.name ? `${id(tensor.name)} ` : ''}${elements(tensor)}`;

const PRINTED = [
  'float',
  'double',
  'int64',
  'int32',
  'int16',
  'int8',
  'uint64',
  'uint32',
  'uint16',
  'uint8',
  'bool',
];

function elements(tensor: Tensor): string {
  const { dataType, dims, bytes, strings, external, unknownFields } = tensor;
  if (external) {
    const { location, offset, length } = external;
    const entries = Object.entries({ location, offset, length }).filter(([, value]) => value !== undefined);
    return `[${entries.map(([key, value]) => `${quote(key)} : ${quote(String(value))}`).join(', ')}]`;
  }
  const small = elementCount(dims) <= MAX_PRINTED_ELEMENTS;
  if (strings && small) return `{${strings.map((s) => quote(Buffer.from(s).toString())).join(',')}}`;
  if (small && PRINTED.includes(dataType)) return `{${numbers(tensor).join(',')}}`;
  const hash = createHash('sha256');
  for (const part of strings ?? [bytes]) hash.update(part);
  if (dataType === 'undefined' && unknownFields) hash.update(unknownFields);
  return `<sha256:${hash.digest('hex').slice(0, 8)}>`;
}

function numbers(tensor: Tensor): string[] {
  const { dataType } = tensor;
  const print = dataType === 'float' || dataType === 'double' ? float : dataType === 'uint64' ? exact : int;
  return toNumbers(tensor).map(print);
}

/** Six significant digits. */
const float = (value: number) => String(Number(value.toPrecision(6)));

/** INT64_MAX, which a number rounds up to 2^63, prints as itself. */
const int = (value: number) => (value >= 2 ** 63 ? '9223372036854775807' : exact(value));

const exact = (value: number) => BigInt(value).toString();

/** A name, quoted unless it is an identifier. */
const id = (name: string) => (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? name : quote(name));

const quote = (text: string) => JSON.stringify(text);
