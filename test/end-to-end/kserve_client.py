"""Uses the service with KServe's own Python client, unchanged, by REST and by gRPC.

Arguments: the base address of REST, and host:port of gRPC. Each check is an assertion.
"""

import asyncio
import sys

import numpy as np
from kserve import InferInput, InferRequest, InferenceGRPCClient, InferenceRESTClient, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

url, address = sys.argv[1:]
a = np.arange(6, dtype=np.float32).reshape(2, 3) / 7
b = a * -2


def request_for(binary, outputs=False):
    inputs = []
    for name, array in (("a", a), ("b", b)):
        tensor = InferInput(name=name, shape=list(array.shape), datatype="FP32")
        tensor.set_data_from_numpy(array, binary_data=binary)
        inputs.append(tensor)
    wanted = [RequestedOutput("sum", parameters={"binary_data": binary})] if outputs else None
    return InferRequest(model_name="adder", infer_inputs=inputs, request_id="seven", request_outputs=wanted)


def check_answer(answer):
    assert answer.id == "seven" and answer.model_name == "adder", answer
    [output] = [output for output in answer.outputs if output.name == "sum"]
    np.testing.assert_array_equal(output.as_numpy(), a + b)


async def check_rest():
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=3, timeout=60))
    assert await client.is_server_live(url)
    assert await client.is_server_ready(url)
    assert await client.is_model_ready(url, "adder")
    for binary in (False, True):
        for outputs in (False, True):
            check_answer(await client.infer(url, request_for(binary, outputs), model_name="adder"))
    try:
        await client.infer(url, request_for(True), model_name="nobody")
    except Exception as error:
        assert "404" in str(error), error
    else:
        raise AssertionError("expected 404")
    await client.close()


async def check_v1():
    client = InferenceRESTClient(RESTConfig(protocol="v1", retries=3, timeout=60))
    assert await client.is_model_ready(url, "breast-cancer")
    rows = [[0.0] * 30, [1000.0] * 30]
    answer = await client.infer(url, {"instances": rows}, model_name="breast-cancer")
    labels = answer["predictions"]
    assert len(labels) == 2 and set(labels) <= {0, 1}, answer
    try:
        await client.infer(url, {"instances": [[0.0]]}, model_name="breast-cancer")
    except Exception as error:
        assert "400" in str(error), error
    else:
        raise AssertionError("expected 400")
    await client.close()


async def check_grpc():
    async with InferenceGRPCClient(address) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("adder")
        for binary in (False, True):
            check_answer(await client.infer(request_for(binary)))


asyncio.run(check_rest())
asyncio.run(check_v1())
asyncio.run(check_grpc())
print("all checks passed")
