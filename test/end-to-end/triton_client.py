"""Uses the service as a client of Triton would, with NVIDIA's own package, unchanged.

Arguments: the address of the service, as host:port. Each check is an assertion.
"""

import asyncio
import sys

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

address = sys.argv[1]
client = triton.InferenceServerClient(address, concurrency=4)

numpy_types = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
    "FP16": np.float16, "FP32": np.float32, "FP64": np.float64, "BYTES": np.object_,
}


def tensor(name, array, datatype, binary, module=triton):
    made = module.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def wanted(name, binary, classes=0):
    return triton.InferRequestedOutput(name, binary_data=binary, class_count=classes)


def adder_inputs(rows, binary, module=triton):
    a = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3) / 7
    b = a[::-1] * -2
    return a, b, [tensor("a", a, "FP32", binary, module), tensor("b", np.ascontiguousarray(b), "FP32", binary, module)]


def check_health_and_metadata():
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("adder")
    assert client.is_model_ready("adder", "1")
    assert not client.is_model_ready("nobody")
    server = client.get_server_metadata()
    assert server["name"] == "scoreline" and "binary_tensor_data" in server["extensions"], server
    model = client.get_model_metadata("adder")
    assert model["inputs"][0] == {"name": "a", "datatype": "FP32", "shape": [-1, -1]}, model
    names = [entry["name"] for entry in client.get_model_repository_index() if entry["state"] == "READY"]
    assert "adder" in names and "faq-matcher" in names, names


def check_statistics():
    def read():
        [found] = client.get_inference_statistics("adder")["model_stats"]
        return found["inference_count"], found["inference_stats"]["success"]["count"]

    (inferences, successes), (_, _, inputs) = read(), adder_inputs(7, True)
    client.infer("adder", inputs)
    assert read() == (inferences + 7, successes + 1), read()
    assert len(client.get_inference_statistics()["model_stats"]) > 1
    assert client.get_model_config("adder")["max_batch_size"] > 0


def check_forms():
    for binary_in in (False, True):
        for binary_out in (False, True, None):
            for rows in (1, 5):
                a, b, inputs = adder_inputs(rows, binary_in)
                outputs = None
                if binary_out is not None:
                    outputs = [wanted("negated", binary_out), wanted("sum", binary_out)]
                answer = client.infer("adder", inputs, outputs=outputs, request_id="seven")
                assert answer.get_response()["id"] == "seven"
                np.testing.assert_array_equal(answer.as_numpy("sum"), a + b)
                np.testing.assert_array_equal(answer.as_numpy("negated"), -a)


def check_compression():
    for request in (None, "gzip", "deflate"):
        for response in (None, "gzip", "deflate"):
            for binary in (False, True):
                a, b, inputs = adder_inputs(200, binary)
                outputs = [wanted("sum", binary)]
                answer = client.infer(
                    "adder", inputs, outputs=outputs,
                    request_compression_algorithm=request, response_compression_algorithm=response,
                )
                np.testing.assert_array_equal(answer.as_numpy("sum"), a + b)


def check_datatypes():
    for datatype, numpy_type in numpy_types.items():
        if datatype == "BYTES":
            array = np.array([["question", "äö😀"], ["", "x" * 5000]], dtype=object)
        elif datatype == "BOOL":
            array = np.array([[True, False], [False, True]])
        elif np.issubdtype(numpy_type, np.integer):
            limits = np.iinfo(numpy_type)
            array = np.array([[limits.min, limits.max], [0, 1]], dtype=numpy_type)
        else:
            limits = np.finfo(numpy_type)
            array = np.array([[limits.min, limits.max], [limits.tiny, -0.0]], dtype=numpy_type)
        for binary in (True, False):
            # The client itself has no FP16 in JSON.
            if datatype == "FP16" and not binary:
                continue
            name = f"echo-{datatype.lower()}"
            inputs = [tensor("in", array, datatype, binary)]
            answer = client.infer(name, inputs, outputs=[wanted("out", binary)])
            found = answer.as_numpy("out")
            if datatype == "BYTES":
                found = np.array([[text.decode() if isinstance(text, bytes) else text for text in row] for row in found])
                assert found.tolist() == array.tolist(), found
            else:
                assert found.dtype == array.dtype
                np.testing.assert_array_equal(found, array)


def check_numbers_that_json_lacks():
    array = np.array([[np.nan, np.inf]], dtype=np.float32)
    for binary_out in (True, False):
        answer = client.infer("echo-fp32", [tensor("in", array, "FP32", True)], outputs=[wanted("out", binary_out)])
        np.testing.assert_array_equal(answer.as_numpy("out"), array)


def check_many_at_once():
    pending = []
    for rows in range(1, 21):
        a, b, inputs = adder_inputs(rows, True)
        pending.append((a + b, client.async_infer("adder", inputs)))
    for expected, answer in pending:
        np.testing.assert_array_equal(answer.get_result().as_numpy("sum"), expected)


async def check_asyncio():
    async with triton_aio.InferenceServerClient(address) as aio:
        assert await aio.is_server_live()
        a, b, inputs = adder_inputs(3, True, triton_aio)
        answers = await asyncio.gather(*(aio.infer("adder", inputs) for _ in range(8)))
        for answer in answers:
            np.testing.assert_array_equal(answer.as_numpy("sum"), a + b)


def check_the_included_models():
    texts = np.array(["How do I make a real deep copy of an object?"], dtype=object)
    outputs = [wanted("probabilities", True, classes=3)]
    answer = client.infer("faq-matcher", [tensor("text", texts, "BYTES", True)], outputs=outputs)
    best = answer.as_numpy("probabilities")[0]
    assert len(best) == 3 and b"deep copy" in best[0].split(b":", 2)[2], best

    pixels = np.zeros((2, 224, 224, 3), dtype=np.uint8)
    answer = client.infer("efficientnet-lite0", [tensor("image", pixels, "UINT8", True)])
    scores = answer.as_numpy("probabilities")
    assert scores.shape == (2, 1000)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-4)

    rows = np.stack([np.linspace(1, 30, 30), np.zeros(30)]).astype(np.float32)
    answer = client.infer("breast-cancer", [tensor("row", rows, "FP32", True)])
    assert answer.as_numpy("label").shape == (2,)
    np.testing.assert_allclose(answer.as_numpy("probabilities").sum(axis=1), 1, atol=1e-4)


def check_errors():
    a, _, inputs = adder_inputs(1, True)
    for model, given, outputs, words in (
        ("nobody", inputs, None, "There is no model"),
        ("adder", inputs[:1], None, "Expected the inputs"),
        ("adder", [inputs[0], inputs[0]], None, "each input once"),
        ("adder", inputs, [wanted("product", True)], "Expected an output of the network"),
        ("echo-fp32", [tensor("in", a, "FP32", True)], None, 'Expected "in" of FP32[-1,2]'),
        ("echo-fp32", [tensor("in", a[:, :2].astype(np.int32), "INT32", False)], None, "got"),
        ("echo-fp32", [tensor("in", a[:, :2] * np.nan, "FP32", False)], None, "Expected JSON"),
    ):
        try:
            client.infer(model, given, outputs=outputs)
        except InferenceServerException as error:
            assert words in error.message(), error
        else:
            raise AssertionError(f"{model}: expected an error with {words!r}")
    for sequence in (7, "seven"):
        try:
            client.infer("adder", inputs, sequence_id=sequence, sequence_start=True)
        except InferenceServerException as error:
            assert "keep nothing between requests" in error.message(), error
        else:
            raise AssertionError("expected an error for a sequence")
    # The service still answers.
    client.infer("adder", inputs, timeout=5_000_000)


check_health_and_metadata()
check_statistics()
check_forms()
check_compression()
check_datatypes()
check_numbers_that_json_lacks()
check_many_at_once()
asyncio.run(check_asyncio())
check_the_included_models()
check_errors()
print("all checks passed")
