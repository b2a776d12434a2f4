"""Checks with the HTTP client of Triton."""

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from support import OUTPUTS, assert_complete, assert_same, check


@check
def triton_sees_health_and_metadata(target, client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready(target.model)
    assert not client.is_model_ready(target.model + "-unknown")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata(target.model)
    assert metadata["name"] == target.model
    assert metadata["inputs"][0]["shape"] == [-1, *target.sample_shape], metadata
    assert [output["name"] for output in metadata["outputs"]] == OUTPUTS


@check
def triton_infers_in_binary_by_default(target, client):
    result = client.infer(target.model, target.triton_input(target.samples(1)))
    assert_complete(result, 1)
    assert "data" not in result.get_output("class")


@check
def triton_infers_in_json(target, client):
    samples = target.samples(1)
    outputs = [triton.InferRequestedOutput(name, binary_data=False) for name in OUTPUTS]
    result = client.infer(target.model, target.triton_input(samples, binary=False), outputs=outputs)
    assert_complete(result, 1)
    assert "data" in result.get_output("class")
    assert_same(result, client.infer(target.model, target.triton_input(samples)))


@check
def triton_mixes_binary_input_and_json_output(target, client):
    outputs = [triton.InferRequestedOutput("class", binary_data=False), triton.InferRequestedOutput("confidence")]
    result = client.infer(target.model, target.triton_input(target.samples(2)), outputs=outputs)
    assert [output["name"] for output in result.get_response()["outputs"]] == ["class", "confidence"]
    assert result.as_numpy("class").shape == result.as_numpy("confidence").shape == (2,)


@check
def triton_infers_a_batch_as_it_infers_its_samples(target, client):
    samples = target.samples(4)
    batch = client.infer(target.model, target.triton_input(samples))
    assert_complete(batch, 4)
    for index in range(4):
        single = client.infer(target.model, target.triton_input(samples[index : index + 1]))
        if single.as_numpy("exit")[0] == batch.as_numpy("exit")[index]:
            assert np.allclose(single.as_numpy("probabilities")[0], batch.as_numpy("probabilities")[index], atol=1e-5)


@check
def triton_compresses_requests(target, client):
    samples = target.samples(2)
    plain = client.infer(target.model, target.triton_input(samples))
    for algorithm in ["gzip", "deflate"]:
        for binary in [True, False]:
            inputs = target.triton_input(samples, binary)
            result = client.infer(
                target.model,
                inputs,
                request_compression_algorithm=algorithm,
                response_compression_algorithm=algorithm,
            )
            assert_complete(result, 2)
            assert_same(result, plain)


@check
def triton_infers_asynchronously(target, client):
    pending = [client.async_infer(target.model, target.triton_input(target.samples(1))) for _ in range(8)]
    for request in pending:
        assert_complete(request.get_result(), 1)


@check
def triton_names_version_id_and_parameters(target, client):
    version = target.metadata["versions"][0]
    result = client.infer(
        target.model,
        target.triton_input(target.samples(1)),
        model_version=version,
        request_id="request 7",
        priority=3,
        timeout=30_000_000,
        parameters={"timeout_milliseconds": 30_000},
    )
    response = result.get_response()
    assert response["id"] == "request 7" and response["model_name"] == target.model, response
    assert response.get("model_version") in (None, version), response


@check
def triton_reports_errors_with_status_and_message(target, client):
    wrong_shape = np.zeros(target.sample_shape, dtype=np.float32)
    error = triton_error(client, target.model, target.triton_input(wrong_shape))
    assert error.status() == "400" and "has shape" in error.message() and "expected [N," in error.message(), error
    wrong_type = triton.InferInput(target.input_name, [1, *target.sample_shape], "FP16")
    wrong_type.set_data_from_numpy(np.zeros([1, *target.sample_shape], dtype=np.float16))
    error = triton_error(client, target.model, [wrong_type])
    assert error.status() == "400" and "expected FP32" in error.message(), error
    wrong_name = [triton.InferRequestedOutput("logits")]
    error = triton_error(client, target.model, target.triton_input(target.samples(1)), outputs=wrong_name)
    assert error.status() == "400" and "logits" in error.message(), error
    error = triton_error(client, target.model + "-unknown", target.triton_input(target.samples(1)))
    assert error.status() == "404", error


def triton_error(client, *arguments, **named):
    try:
        client.infer(*arguments, **named)
    except InferenceServerException as error:
        return error
    raise AssertionError("the request was answered")
