"""What all checks share: where to send requests, and what every answer must hold."""

import json
import urllib.error
import urllib.request

import numpy as np
import tritonclient.http as triton

OUTPUTS = ["probabilities", "class", "exit", "confidence"]
CHECKS = []


def check(function):
    """Registers a check; its name is what it claims."""
    CHECKS.append(function)
    return function


class Target:
    """Where to send what."""

    def __init__(self, url, model, sample_shape):
        self.url = url.rstrip("/")
        self.host = self.url.removeprefix("http://")
        self.model = model
        self.sample_shape = sample_shape
        with urllib.request.urlopen(f"{self.url}/v2/models/{model}") as answer:
            self.metadata = json.load(answer)
        self.input_name = self.metadata["inputs"][0]["name"]

    def samples(self, count):
        generator = np.random.default_rng(count)
        return generator.random([count, *self.sample_shape], dtype=np.float32)

    def triton_input(self, samples, binary=True):
        tensor = triton.InferInput(self.input_name, list(samples.shape), "FP32")
        tensor.set_data_from_numpy(samples, binary_data=binary)
        return [tensor]

    def document(self, samples, **fields):
        data = {"name": self.input_name, "shape": list(samples.shape), "datatype": "FP32", "data": samples.tolist()}
        return {"inputs": [data], **fields}

    def post(self, path, body, **headers):
        """Status and document of the answer; header names are written with underscores."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/v2/models/{path}", data=body, headers=headers)
        return answered(request)


def answered(request):
    """Status and JSON document of an answer, good or bad."""
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def assert_complete(result, count):
    """Every output is there, has the right shape and agrees with the others."""
    probabilities, classes, exits, confidence = (result.as_numpy(name) for name in OUTPUTS)
    assert probabilities.dtype == np.float32 and probabilities.shape[0] == count, probabilities
    assert classes.dtype == np.int64 and classes.shape == (count,), classes
    assert exits.shape == (count,) and (exits >= 1).all(), exits
    assert confidence.dtype == np.float32 and confidence.shape == (count,), confidence
    assert (probabilities.argmax(axis=1) == classes).all(), (probabilities, classes)
    assert np.isclose(probabilities.sum(axis=1), 1, atol=1e-3).all(), probabilities


def assert_same(one, other):
    """The same samples have the same classes; exits may differ, since the policy may draw lots."""
    assert one.as_numpy("class").shape == other.as_numpy("class").shape
    same_exit = one.as_numpy("exit") == other.as_numpy("exit")
    left, right = one.as_numpy("probabilities")[same_exit], other.as_numpy("probabilities")[same_exit]
    assert np.allclose(left, right, atol=1e-5), (left, right)
