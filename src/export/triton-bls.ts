/**
 * A model of Triton's Python backend that sends samples through the networks of a chain, each a model of its own, and on to the next one only while they are in
 * play: business logic scripting (https://github.com/triton-inference-server/python_backend#business-logic-scripting). An ensemble has no conditions, so it
 * would run every network for every sample.
 */
import type { Content } from '../emit/write.ts';
import { EnumValue, type Message, printMessage } from './text-proto.ts';
import { described, type TensorSpec } from './triton-config.ts';
import { CONFIG } from './triton-model.ts';

export interface BlsModel {
  readonly name: string;
  /** Told in comments at the top, a line each. */
  readonly notes: readonly string[];
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** 0: one sample a run. */
  readonly maxBatch: number;
  /** Copies of the script, each of which waits for the networks of its own requests. */
  readonly instances: number;
  readonly chain: Chain;
}

/** What the script is told. */
export interface Chain {
  readonly scores: string;
  readonly exit_index: string;
  readonly exit_confidence: string;
  /** `exit_index` of a sample that goes on. */
  readonly in_play: number;
  readonly parts: readonly {
    readonly model: string;
    readonly inputs: readonly string[];
    /** Besides scores, exit and confidence: the input of the next part → the output that it comes from. */
    readonly gives: Readonly<Record<string, string>>;
  }[];
}

/** The files of the model, by their paths in its folder. */
export function printBlsModel(model: BlsModel): Map<string, Content> {
  const { name, notes, inputs, outputs, maxBatch, instances, chain } = model;
  const config: Message = {
    name,
    backend: 'python',
    max_batch_size: maxBatch,
    input: inputs.map((tensor) => described(tensor, maxBatch > 0)),
    output: outputs.map((tensor) => described(tensor, maxBatch > 0)),
    // Requests that wait come together, and are sent on side by side.
    dynamic_batching: maxBatch > 1 ? { max_queue_delay_microseconds: 0 } : undefined,
    instance_group: [{ count: instances, kind: new EnumValue('KIND_CPU') }],
    parameters: [{ key: 'chain', value: { string_value: JSON.stringify(chain) } }],
  };
  const text = `${notes.map((note) => `# ${note.replace(/\s+/g, ' ')}\n`).join('')}\n${printMessage(config)}`;
  return new Map([
    [CONFIG, text],
    ['1/model.py', MODEL_PY],
  ]);
}

const MODEL_PY = `"""A chain of networks, easy samples first. A sample goes on to the next network only while it is in play.

Each network is a model of this repository with a batcher of its own, so that samples of many requests run through it together.
What the chain is made of stands in config.pbtxt.
"""

import asyncio
import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.chain = json.loads(config["parameters"]["chain"]["string_value"])
        self.is_batched = int(config["max_batch_size"]) > 0

    async def execute(self, requests):
        return await asyncio.gather(*(self.respond(request) for request in requests))

    async def respond(self, request):
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        try:
            scores, exits, confidence = await self.answer(inputs)
        except pb_utils.TritonModelException as error:
            return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(str(error)))
        shape = (-1, 1) if self.is_batched else (-1,)
        answers = {
            self.chain["scores"]: scores,
            self.chain["exit_index"]: exits.reshape(shape),
            self.chain["exit_confidence"]: confidence.reshape(shape),
        }
        wanted = request.requested_output_names()
        return pb_utils.InferenceResponse(
            output_tensors=[pb_utils.Tensor(name, answers[name]) for name in answers if name in wanted]
        )

    async def answer(self, inputs):
        """Scores, exits and confidence of all samples of a request."""
        rows = None  # of the samples in play; None: all of them
        carried = {}
        for part in self.chain["parts"]:
            own = await self.run(part, {**inputs, **carried}, carried, rows)
            if rows is None:
                scores, exits, confidence = (own[name].copy() for name in self.names)
                rows = np.arange(len(exits))
            else:
                for all_rows, of_rows in zip((scores, exits, confidence), (own[name] for name in self.names)):
                    all_rows[rows] = of_rows
            going = np.flatnonzero(own[self.chain["exit_index"]] == self.chain["in_play"])
            if len(going) == 0:
                break
            carried = {name: own[given][going] for name, given in part["gives"].items()}
            rows = rows[going]
        return scores, exits, confidence

    @property
    def names(self):
        return [self.chain[name] for name in ("scores", "exit_index", "exit_confidence")]

    async def run(self, part, values, carried, rows):
        """What a network says of the samples in play, by output."""
        given = [
            (name, values[name] if rows is None or name in carried else values[name][rows])
            for name in part["inputs"]
        ]
        request = pb_utils.InferenceRequest(
            model_name=part["model"],
            requested_output_names=self.names + list(part["gives"].values()),
            inputs=[pb_utils.Tensor(name, np.ascontiguousarray(value)) for name, value in given],
        )
        response = await request.async_exec()
        if response.has_error():
            raise pb_utils.TritonModelException(f"{part['model']}: {response.error().message()}")
        found = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
        for name in self.names[1:]:
            found[name] = found[name].reshape(-1)
        return found
`;
