"""Runs model.py of a Triton repository: ONNX Runtime stands in for Triton, whose Python API is imitated as far as it is used.

python3 per-network.py <repository> <name> <whole> <samples.bin>
"""

import asyncio
import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
import onnxruntime as ort

repository, name, whole, samples = sys.argv[1:]
repository = Path(repository)
sessions = {}
asked = {}
broken = None


def session(model):
    if model not in sessions:
        sessions[model] = ort.InferenceSession(str(repository / model / "1/model.onnx"))
    return sessions[model]


class Tensor:
    def __init__(self, name, array):
        assert array.flags["C_CONTIGUOUS"], name
        self._name, self._array = name, array

    def name(self):
        return self._name

    def as_numpy(self):
        return self._array


class TritonError:
    def __init__(self, message):
        self._message = message

    def message(self):
        return self._message


class TritonModelException(Exception):
    pass


class InferenceResponse:
    def __init__(self, output_tensors, error=None):
        self._tensors, self._error = output_tensors, error

    def output_tensors(self):
        return self._tensors

    def has_error(self):
        return self._error is not None

    def error(self):
        return self._error


class InferenceRequest:
    def __init__(self, model_name, requested_output_names, inputs):
        self.model, self.wanted, self.tensors = model_name, requested_output_names, inputs

    async def async_exec(self):
        await asyncio.sleep(0)
        if self.model == broken:
            return InferenceResponse([], TritonError("out of memory"))
        config = json.loads((repository / self.model / "config.json").read_text())
        count = len(self.tensors[0].as_numpy())
        assert 0 < count <= config["max_batch_size"]
        asked.setdefault(self.model, []).append(count)
        feeds = {tensor.name(): tensor.as_numpy() for tensor in self.tensors}
        assert list(feeds) == [one["name"] for one in config["input"]]
        found = session(self.model).run(self.wanted, feeds)
        shaped = []
        for output, array in zip(self.wanted, found):
            told = next(one for one in config["output"] if one["name"] == output)
            # Clients see what config.pbtxt says, whatever the reshape.
            shaped.append(Tensor(output, array.reshape([count, *told["dims"]])))
        return InferenceResponse(shaped)


class Request:
    def __init__(self, tensors, wanted):
        self._tensors, self._wanted = tensors, wanted

    def inputs(self):
        return self._tensors

    def requested_output_names(self):
        return self._wanted


pb_utils = types.ModuleType("triton_python_backend_utils")
for one in (Tensor, TritonError, TritonModelException, InferenceResponse, InferenceRequest):
    setattr(pb_utils, one.__name__, one)
sys.modules["triton_python_backend_utils"] = pb_utils

spec = importlib.util.spec_from_file_location("model", repository / name / "1/model.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

config = (repository / name / "config.json").read_text()
model = module.TritonPythonModel()
model.initialize({"model_config": config, "model_name": name})
data = np.fromfile(samples, np.float32).reshape(-1, 3, 8, 8)
outputs = [one["name"] for one in json.loads(config)["output"]]
given = [data[:1], data[1:28], data[28:]]
requests = [Request([Tensor("image", part)], outputs) for part in given]
responses = asyncio.run(model.execute(requests))
assert not any(response.has_error() for response in responses)
answers = [{tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()} for response in responses]
expected = dict(zip(outputs, session(whole).run(outputs, {"image": data})))
scores = np.concatenate([answer["scores"] for answer in answers])

seen = {model: list(counts) for model, counts in asked.items()}
broken = f"{name}_2"
(alone,) = asyncio.run(model.execute([Request([Tensor("image", given[-1])], ["exit_index"])]))

print(
    json.dumps(
        {
            "sizes": [len(part) for part in given],
            "exits": [answer["exit_index"].reshape(-1).tolist() for answer in answers],
            "whole": expected["exit_index"].tolist(),
            "shapes": {output: list(array.shape) for output, array in answers[-1].items()},
            "gap": float(np.abs(scores - expected["scores"]).max() / np.abs(expected["scores"]).max()),
            "asked": seen,
            "failed": alone.error().message() if alone.has_error() else "",
        }
    )
)
