"""Checks with requests that no official client makes."""

import gzip
import json
import urllib.request
import zlib

import numpy as np

from support import OUTPUTS, check


@check
def plain_json_is_answered_with_json(target, _):
    for data in [target.samples(2).tolist(), target.samples(2).flatten().tolist()]:
        document = target.document(target.samples(2), id="request 9")
        document["inputs"][0]["data"] = data
        status, answer = target.post(f"{target.model}/infer", document)
        assert status == 200 and answer["id"] == "request 9" and answer["model_name"] == target.model, answer
        assert [output["name"] for output in answer["outputs"]] == OUTPUTS
        assert all(len(output["data"]) == np.prod(output["shape"]) for output in answer["outputs"])


@check
def versions_are_known_or_refused(target, _):
    document = target.document(target.samples(1))
    for version in target.metadata["versions"]:
        status, answer = target.post(f"{target.model}/versions/{version}/infer", document)
        assert status == 200 and answer.get("model_version") == version, answer
    status, answer = target.post(f"{target.model}/versions/no-such-version/infer", document)
    assert status == 404 and answer["error"], answer


@check
def compressed_json_is_answered(target, _):
    body = json.dumps(target.document(target.samples(1))).encode()
    for encoding, compressed in [("gzip", gzip.compress(body)), ("deflate", zlib.compress(body)), ("identity", body)]:
        status, answer = target.post(f"{target.model}/infer", compressed, Content_Encoding=encoding)
        assert status == 200, (encoding, answer)
    for encoding, wrong, expected in [("br", body, 415), ("gzip", body, 400), ("deflate", body[:50], 400)]:
        status, answer = target.post(f"{target.model}/infer", wrong, Content_Encoding=encoding)
        assert status == expected and answer["error"], (encoding, status, answer)


@check
def a_raw_tensor_is_answered(target, _):
    body = target.samples(2).tobytes()
    path = f"{target.url}/v2/models/{target.model}/infer"
    request = urllib.request.Request(path, data=body, headers={"Inference-Header-Content-Length": "0"})
    with urllib.request.urlopen(request) as answer:
        length = int(answer.headers["Inference-Header-Content-Length"])
        content = answer.read()
    outputs = json.loads(content[:length])["outputs"]
    assert sum(output["parameters"]["binary_data_size"] for output in outputs) == len(content) - length


@check
def malformed_requests_are_answered_with_an_error(target, _):
    good = json.dumps(target.document(target.samples(1))).encode()
    for body, headers in [
        (b"", {}),
        (b"[]", {}),
        (b"{", {}),
        (good[:-5], {}),
        (good + b"{}", {}),
        (good.replace(b"FP32", b"BYTES"), {}),
        (good, {"Inference_Header_Content_Length": "99999999"}),
        (good, {"Inference_Header_Content_Length": "ten"}),
        (good, {"Inference_Header_Content_Length": "-1"}),
        (b"[" * 100_000, {}),
    ]:
        status, answer = target.post(f"{target.model}/infer", body, **headers)
        assert status == 400 and answer["error"], (body[:80], headers, status, answer)
