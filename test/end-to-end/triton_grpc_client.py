"""Uses the service by gRPC as a client of Triton would, with NVIDIA's own package, unchanged.

Arguments: the address of the service, as host:port. Each check is an assertion.
"""

import asyncio
import queue
import sys

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

address = sys.argv[1]
client = triton.InferenceServerClient(address)

numpy_types = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
    "FP16": np.float16, "FP32": np.float32, "FP64": np.float64, "BYTES": np.object_,
}
lists = {
    "BOOL": "bool_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}


def tensor(name, array, datatype, module=triton):
    made = module.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def adder_inputs(rows, module=triton):
    a = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3) / 7
    b = np.ascontiguousarray(a[::-1] * -2)
    return a, b, [tensor("a", a, "FP32", module), tensor("b", b, "FP32", module)]


def sample(datatype):
    if datatype == "BYTES":
        return np.array([["question", "äö😀"], ["", "x" * 5000]], dtype=object)
    if datatype == "BOOL":
        return np.array([[True, False], [False, True]])
    numpy_type = numpy_types[datatype]
    if np.issubdtype(numpy_type, np.integer):
        limits = np.iinfo(numpy_type)
        return np.array([[limits.min, limits.max], [0, 1]], dtype=numpy_type)
    limits = np.finfo(numpy_type)
    return np.array([[limits.min, limits.max], [np.nan, -np.inf]], dtype=numpy_type)


def texts_of(array):
    return [[text.decode() if isinstance(text, bytes) else text for text in row] for row in array]


def check_health_and_metadata():
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("adder")
    assert client.is_model_ready("adder", "1")
    server = client.get_server_metadata()
    assert server.name == "scoreline" and "statistics" in server.extensions, server
    model = client.get_model_metadata("adder", as_json=True)
    assert model["inputs"][0] == {"name": "a", "datatype": "FP32", "shape": ["-1", "-1"]}, model
    config = client.get_model_config("adder").config
    assert config.max_batch_size > 0 and config.input[0].dims == [-1], config
    assert client.get_model_config("whole").config.max_batch_size == 0
    ready = [entry.name for entry in client.get_model_repository_index().models if entry.state == "READY"]
    assert "adder" in ready and "faq-matcher" in ready, ready


def check_infer():
    for rows in (1, 5, 100):
        for compression in (None, "gzip", "deflate"):
            a, b, inputs = adder_inputs(rows)
            outputs = [triton.InferRequestedOutput("negated"), triton.InferRequestedOutput("sum")]
            answer = client.infer(
                "adder", inputs, "1", outputs=outputs, request_id="seven", compression_algorithm=compression,
            )
            assert answer.get_response().id == "seven"
            assert [output.name for output in answer.get_response().outputs] == ["negated", "sum"]
            np.testing.assert_array_equal(answer.as_numpy("sum"), a + b)
            np.testing.assert_array_equal(answer.as_numpy("negated"), -a)


def check_datatypes():
    for datatype in numpy_types:
        array = sample(datatype)
        found = client.infer(f"echo-{datatype.lower()}", [tensor("in", array, datatype)]).as_numpy("out")
        if datatype == "BYTES":
            assert texts_of(found) == array.tolist(), found
        else:
            assert found.dtype == array.dtype
            np.testing.assert_array_equal(found, array)


def check_typed_contents():
    for datatype, contents in lists.items():
        array = sample(datatype)
        elements = [text.encode() for text in array.flat] if datatype == "BYTES" else array.flatten().tolist()
        request = service_pb2.ModelInferRequest(model_name=f"echo-{datatype.lower()}")
        given = request.inputs.add(name="in", datatype=datatype, shape=list(array.shape))
        getattr(given.contents, contents).extend(elements)
        response = client._client_stub.ModelInfer(request)
        assert not response.raw_output_contents
        [output] = response.outputs
        found = list(getattr(output.contents, contents))
        assert output.shape == list(array.shape) and output.datatype == datatype, response
        if datatype.startswith("FP"):
            np.testing.assert_array_equal(found, elements)
        else:
            assert found == elements, (datatype, found)


def check_classification():
    texts = np.array(["How do I make a real deep copy of an object?"], dtype=object)
    outputs = [triton.InferRequestedOutput("probabilities", class_count=3)]
    answer = client.infer("faq-matcher", [tensor("text", texts, "BYTES")], outputs=outputs)
    best = answer.as_numpy("probabilities")[0]
    assert len(best) == 3 and b"deep copy" in best[0].split(b":", 2)[2], best


def check_many_at_once():
    answers = queue.Queue()
    expected = {}
    for rows in range(1, 21):
        a, b, inputs = adder_inputs(rows)
        expected[str(rows)] = a + b
        client.async_infer(
            "adder", inputs, request_id=str(rows), callback=lambda result, error: answers.put((result, error)),
        )
    for _ in range(20):
        result, error = answers.get(timeout=60)
        assert error is None, error
        np.testing.assert_array_equal(result.as_numpy("sum"), expected.pop(result.get_response().id))
    assert not expected


async def check_asyncio():
    async with triton_aio.InferenceServerClient(address) as aio:
        assert await aio.is_server_live()
        a, b, inputs = adder_inputs(3, triton_aio)
        answers = await asyncio.gather(*(aio.infer("adder", inputs) for _ in range(8)))
        for answer in answers:
            np.testing.assert_array_equal(answer.as_numpy("sum"), a + b)


def check_statistics():
    def read():
        [found] = client.get_inference_statistics("adder").model_stats
        return found

    before = read()
    _, _, inputs = adder_inputs(7)
    client.infer("adder", inputs)
    after = read()
    assert after.inference_count - before.inference_count == 7, after
    assert after.execution_count > 0 and after.last_inference >= before.last_inference, after
    for part in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        then, now = getattr(before.inference_stats, part), getattr(after.inference_stats, part)
        assert now.count - then.count == 1 and now.ns >= then.ns, (part, then, now)
    names = [model.name for model in client.get_inference_statistics().model_stats]
    assert "adder" in names and "faq-matcher" in names, names


def expect_error(code, words, call):
    try:
        call()
    except InferenceServerException as error:
        assert error.status() == f"StatusCode.{code}" and words in error.message(), error
    else:
        raise AssertionError(f"expected {code} with {words!r}")


def check_errors():
    a, _, inputs = adder_inputs(1)
    two = a[:, :2]
    for code, words, model, given, outputs in (
        ("NOT_FOUND", "There is no model", "nobody", inputs, None),
        ("INVALID_ARGUMENT", "Expected the inputs", "adder", inputs[:1], None),
        ("INVALID_ARGUMENT", "each input once", "adder", [inputs[0], inputs[0]], None),
        ("INVALID_ARGUMENT", "Expected an output of the network", "adder", inputs, ["product"]),
        ("INVALID_ARGUMENT", 'Expected "in" of FP32[-1,2]', "echo-fp32", [tensor("in", a, "FP32")], None),
        ("INVALID_ARGUMENT", "got", "echo-fp32", [tensor("in", two.astype(np.int32), "INT32")], None),
    ):
        wanted = outputs and [triton.InferRequestedOutput(name) for name in outputs]
        expect_error(code, words, lambda: client.infer(model, given, outputs=wanted))
    for sequence in (7, "seven"):
        in_sequence = lambda: client.infer("adder", inputs, sequence_id=sequence, sequence_start=True)
        expect_error("INVALID_ARGUMENT", "keep nothing between requests", in_sequence)
    expect_error("NOT_FOUND", "no version", lambda: client.infer("adder", inputs, "77"))
    expect_error("NOT_FOUND", "There is no model", lambda: client.get_model_metadata("nobody"))
    expect_error("NOT_FOUND", "There is no model", lambda: client.get_inference_statistics("nobody"))
    expect_error("DEADLINE_EXCEEDED", "", lambda: client.infer("adder", inputs, client_timeout=0.000001))
    expect_error("DEADLINE_EXCEEDED", "", lambda: client.infer("adder", inputs, timeout=1))
    # The service still answers.
    client.infer("adder", inputs, timeout=5_000_000, client_timeout=60)


check_health_and_metadata()
check_infer()
check_datatypes()
check_typed_contents()
check_classification()
check_many_at_once()
asyncio.run(check_asyncio())
check_statistics()
check_errors()
print("all checks passed")
