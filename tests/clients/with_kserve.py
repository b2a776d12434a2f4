"""Checks with the REST client of KServe."""

import asyncio

import httpx
import kserve

from support import assert_complete, check


def kserve_input(target, samples, binary):
    tensor = kserve.InferInput(target.input_name, list(samples.shape), "FP32")
    tensor.set_data_from_numpy(samples, binary_data=binary)
    return tensor


async def kserve_health(target, client):
    assert await client.is_server_live(target.url) is True
    assert await client.is_server_ready(target.url) is True
    assert await client.is_model_ready(target.url, target.model) is True
    assert await client.is_model_ready(target.url, target.model + "-unknown") is False


async def kserve_infer(target, client):
    for binary in [False, True]:
        tensor = kserve_input(target, target.samples(3), binary)
        request = kserve.InferRequest(target.model, [tensor], request_id="request 8")
        response = await client.infer(target.url, request, model_name=target.model)
        assert response.id == "request 8" and response.model_name == target.model
        assert_complete(KserveResult(response), 3)


async def kserve_errors(target, client):
    request = kserve.InferRequest(target.model, [kserve_input(target, target.samples(1), False)])
    for call, status in [
        (client.infer(target.url, request, model_name="unknown"), 404),
        (client.infer(target.url, {"inputs": []}, model_name=target.model), 400),
    ]:
        try:
            await call
        except httpx.HTTPStatusError as error:
            assert error.response.status_code == status, error
            assert error.response.json()["error"] in str(error), error
        else:
            raise AssertionError("the request was answered")


async def kserve_explain(target, _):
    """There is no explainer; the client, which only knows it in protocol v1, says so and does not fail otherwise."""
    client = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v1"))
    try:
        await client.explain(target.url, target.model, {"instances": []})
    except httpx.HTTPStatusError as error:
        assert error.response.status_code == 404, error
    else:
        raise AssertionError("the request was answered")


class KserveResult:
    """A response of kserve with the reader of tritonclient."""

    def __init__(self, response):
        self.outputs = {output.name: output for output in response.outputs}

    def as_numpy(self, name):
        return self.outputs[name].as_numpy()


@check
def kserve_client_works(target, _):
    async def run():
        async with kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2")) as client:
            for part in [kserve_health, kserve_infer, kserve_errors, kserve_explain]:
                await part(target, client)

    asyncio.run(run())
