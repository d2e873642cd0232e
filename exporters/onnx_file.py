"""What the exporters share: how they read their arguments, compare a network with its original, and save it."""

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

# `npm run models -- add` reads this key of the metadata: sections of the manifest that the network does not tell.
MANIFEST_KEY = "scoreline"
# Protocol buffers end at 2 GiB.
EMBEDDED_BYTES_MAX = 1_900_000_000
OPSET = 18
OTHERWISE = "It can be served as a Python program: docs/python.md"
# Messages of frameworks can have pages.
REASON_MAX = 300
# Each sample has some of one list. Frameworks and ONNX differ on divisions and indices below 0.
WHOLE_NUMBERS = [[0], [1], [2], [3], [5], [9], [-1], [-2], [-5], [-9], [0, 1], range(10), range(-9, 0), [-1, 0, 1], range(-9, 10)]
# Of a part of the inputs
FEW_NUMBERS = [[0], [5], [-1], [-5], range(10), range(-9, 0), range(-9, 10)]
# A matrix of more columns is a text or a picture, whose columns are alike.
COLUMNS_MAX = 32
TEXTS = ["a", "B", "", "hello world", "Good day, sir!", "ümlaut ß", "日本", "  x ", "12", "-1.5"]


def parse_arguments(description, *flags):
    """Returns the arguments of an exporter: FILE, MODEL.onnx and its own flags, each as (name, settings)."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("file", type=Path, help="what to export")
    parser.add_argument("onnx", type=Path, help="the ONNX file to write")
    for name, settings in flags:
        parser.add_argument(name, **settings)
    arguments = parser.parse_args()
    # Pickles can name modules that lie beside them.
    sys.path.insert(0, str(arguments.file.resolve().parent))
    return arguments


def fail(line):
    raise SystemExit(f"error: {line}")


def reason(error):
    """Returns the class of an exception and what it says, in one line."""
    text = re.sub(r"\x1b\[\d*m", "", str(error))
    # TensorFlow and TorchScript show a stack before they say what is wrong.
    text = re.sub(r"^in user code:.*?\n\s+\w+Error: ", "", text, flags=re.DOTALL)
    text = re.sub(r"^The following operation failed in the TorchScript interpreter.*\n(?=\S)", "", text.strip(), flags=re.DOTALL)
    return f"{type(error).__name__}: {' '.join(text.split())[:REASON_MAX].rstrip('.')}"


def run_exporter(main):
    """Runs an exporter. An exception that it does not expect is one line, too."""
    try:
        main()
    except Exception as error:
        fail(f"expected a model that can be exported; {reason(error)}. {OTHERWISE}")


def note(line):
    print(f"note: {line}")


def save(model, path, labels=None, manifest=None):
    """Writes a network with its labels and with what its manifest should say."""
    entries = {}
    if labels is not None:
        entries["labels"] = json.dumps([str(label) for label in labels], ensure_ascii=False)
    if manifest is not None:
        entries[MANIFEST_KEY] = json.dumps(manifest, ensure_ascii=False, allow_nan=False)
    onnx.helper.set_model_props(model, entries)
    is_large = model.ByteSize() > EMBEDDED_BYTES_MAX
    onnx.save(model, path, save_as_external_data=is_large, location=f"{path.name}.data")


def run(model, feeds):
    """Returns the outputs of a network, by name. `model` is a path or a ModelProto."""
    return outputs_of(load(model), feeds)


def load(model):
    """Returns a session of ONNX Runtime, or fails."""
    try:
        return session_of(model)
    except Exception as error:  # ONNX Runtime has a class of errors for each status
        fail(f"expected an ONNX file that ONNX Runtime can load; {reason(error)}. {OTHERWISE}")


def outputs_of(session, feeds):
    """Returns the outputs of a session, by name, or fails."""
    try:
        return answer_of(session, feeds)
    except Exception as error:
        fail(f"expected an ONNX file that answers to what its original answers to; {reason(error)}. {OTHERWISE}")


def infer(model, feeds):
    """As `run`, but raises what ONNX Runtime raises."""
    return answer_of(session_of(model), feeds)


def session_of(model):
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def answer_of(session, feeds):
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds)))


def difference(found, expected):
    """Returns the largest difference, as a share of the largest expected number: a regressor may have small ones alone."""
    found, expected = rows_of(found), rows_of(expected)
    if found.shape != expected.shape:
        return np.inf
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    return largest_apart(found, expected) / (largest or 1)


def rows_of(values):
    """Returns the numbers of an answer, a row for each input."""
    numbers = np.atleast_1d(np.asarray(values, np.float64))
    return numbers.reshape(len(numbers), -1)


def largest_apart(found, expected):
    """Returns the largest difference of numbers, infinity if only one of two is NaN."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    missing = np.isnan(found) & np.isnan(expected)
    apart = np.where(missing | (found == expected), 0, np.abs(found - expected))  # infinities may be equal, too
    return float(np.nan_to_num(apart, nan=np.inf).max(initial=0))


def samples_around(values, texts=TEXTS):
    """Returns samples of the inputs of a network, in two groups: with other floats, and with others of the rest.

    The scale of a comparison is the largest number of a group, and floats can make that a large one.
    """
    return [list(samples_of_floats(values)), list(samples_of_others(values, texts))]


def samples_of_floats(values):
    """Yields the values as they are, with other signs, and as large as pixels."""
    for change in (lambda numbers: numbers, lambda numbers: 1 - 2 * numbers, lambda numbers: 255 * numbers):
        yield [change(value) if is_floating(value) else value for value in values]
        if not any(map(is_floating, values)):
            return


def samples_of_others(values, texts):
    """Yields the values with other whole numbers, truth values and texts.

    All inputs get them at once, then each alone, then each column of a matrix: an index may refuse what a number takes.
    """
    places = [(at, ...) for at, value in enumerate(values) if not is_floating(value)]
    if not places:
        return
    matrices = [at for at, _ in places if values[at].ndim == 2 and 1 < values[at].shape[1] <= COLUMNS_MAX]
    columns = [(at, (slice(None), column)) for at in matrices for column in range(values[at].shape[1])]
    further = [[at] for at in range(10, len(texts))] if any(is_text(value) for value in values) else []
    rng = np.random.default_rng(1)
    yield values
    for numbers in [*WHOLE_NUMBERS, *further]:
        yield with_numbers(values, places, numbers, texts, rng)
    for place in [*(places if len(places) > 1 else []), *columns]:
        for numbers in FEW_NUMBERS:
            yield with_numbers(values, [place], numbers, texts, rng)


def with_numbers(values, places, numbers, texts, rng):
    """Returns the values with some of these numbers at these places. Of texts, they are the places in a list."""
    changed = [value.copy() for value in values]
    for at, index in places:
        drawn = rng.choice(numbers, changed[at][index].shape)
        kind = changed[at].dtype
        changed[at][index] = np.array(texts, object)[drawn % len(texts)] if is_text(changed[at]) else np.asarray(drawn).astype(kind)
    return changed


def is_floating(value):
    return "float" in str(value.dtype)


def is_text(value):
    return value.dtype.kind in "OSU"


def answers_to(groups, answer):
    """Returns each sample of the groups with the original's answer. Samples that it refuses are left out.

    `answer(values)` returns the outputs of the original, by name.
    """
    answered, refusal = [[] for _ in groups], None
    for samples, pairs in zip(groups, answered):
        for values in samples:
            try:
                pairs.append((values, answer(values)))
            except Exception as error:  # frameworks have a class of errors for each layer
                refusal = refusal or error
    if not any(answered):
        fail(f"expected a network that answers to one of the samples; it refuses all of them: {reason(refusal)}. {OTHERWISE}")
    return answered


def compare_answers(model, groups, feeds):
    """Compares the outputs of a network with those of its original, by name, and fails if they differ.

    NaN has to be the same for other floats, but not for other whole numbers and texts. `groups` is what `answers_to` returns.
    `feeds(values)` returns the inputs of the network, by name.
    """
    session, compared = load(model), []
    for is_strict, answered in zip((True, False), groups):
        found = [outputs_of(session, feeds(values)) for values, _ in answered]
        for (_, expected), outputs in zip(answered, found):
            refuse_other_shapes(outputs, expected)
        for name in found[0] if found else []:
            samples = [feeds(values) for values, _ in answered]
            pairs = [numbers_of(outputs[name], expected[name]) for (_, expected), outputs in zip(answered, found)]
            compared.append((pairs if is_strict else without_nan(pairs, samples), samples))
    # A sigmoid may be all but 0 for one sample, so the largest number is that of all of them.
    joined = [[np.concatenate(values) for values in zip(*pairs)] for pairs, _ in compared]
    worst = int(np.argmax([difference(*pair) for pair in joined]))
    count = sum(map(len, groups))
    compare(*joined[worst], f"{count} samples", hint=lambda: hint_of_samples(*compared[worst]))


def without_nan(pairs, samples):
    """Returns the pairs with NaN in both where it is in one. Attention to a text of padding alone is NaN in one of them or the other."""
    lost = [at for at, (found, expected) in enumerate(pairs) if (np.isnan(found) & ~np.isnan(expected)).any()]
    if lost:
        note(f"the network answers NaN where the original has numbers, as for {given_in(samples[lost[0]])}")
    either = [np.isnan(found) | np.isnan(expected) for found, expected in pairs]
    return [tuple(np.where(is_nan, np.nan, values) for values in pair) for is_nan, pair in zip(either, pairs)]


def refuse_other_shapes(found, expected):
    if found.keys() != expected.keys():
        fail(f"expected the outputs {', '.join(expected)} of the original; the ONNX file has {', '.join(found)}. {OTHERWISE}")
    for name, value in expected.items():
        if np.shape(found[name]) != np.shape(value):
            fail(
                f"expected the shape {list(np.shape(value))} of the original's output {name}; that of the ONNX file is "
                f"{list(np.shape(found[name]))}. {OTHERWISE}"
            )


def numbers_of(found, expected):
    """Returns two outputs as rows of numbers. Of texts, these say whether they are the same."""
    found, expected = np.ravel(found), np.ravel(expected)
    if not is_text(expected):
        return found, expected
    texts = [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in expected]
    return np.array([one == other for one, other in zip(found, texts)], float), np.ones(len(texts))


def hint_of_samples(pairs, samples):
    """Returns the inputs whose answers differ the most."""
    given = samples[int(np.argmax([largest_apart(*pair) for pair in pairs]))]
    return f"They differ the most on {given_in(given)}."


def given_in(sample):
    """Returns the first values of each input as a text."""
    return ", ".join(f"{name}: {np.ravel(value)[:4].tolist()}" for name, value in sample.items())[:200]


def distinct(outputs, inputs):
    """Returns names of outputs that are those of no input, and of no other output. None stays as it is."""
    names, taken = [], set(inputs)
    for name in outputs:
        new = name and unique(name, taken, "_output")
        if new != name:
            note(f"the output {name} is called {new}, since an input or another output has its name")
        names.append(new)
        taken.add(new)
    return names


def name_values(model, inputs, outputs):
    """Gives the inputs and outputs of a network distinct names. None keeps a name."""
    graph = model.graph
    part_outputs(graph)
    pairs = zip([*graph.input, *graph.output], [*inputs, *outputs], strict=True)
    names = {value.name: name for value, name in pairs if name is not None}
    known = names_in(graph)
    for name in known & set(names.values()) - names.keys():
        names[name] = unique(f"{name}_inside", known | set(names.values()), "_")
    rename(graph, names)


def part_outputs(graph):
    """Makes each output a value of its own. It may be an input, a constant or another output, too."""
    taken = {value.name for value in [*graph.input, *graph.initializer]}
    known = names_in(graph)
    for value in graph.output:
        if value.name in taken:
            name = unique(f"{value.name}_output", known, "_")
            graph.node.append(onnx.helper.make_node("Identity", [value.name], [name]))
            value.name = name
            known.add(name)
        taken.add(value.name)


def unique(name, taken, suffix):
    while name in taken:
        name += suffix
    return name


def graphs_in(graph):
    """Yields a graph, and those of its branches and loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                yield from graphs_in(inner)


def values_in(graph):
    return [*graph.input, *graph.output, *graph.value_info, *graph.initializer]


def names_in(graph):
    graphs = list(graphs_in(graph))
    nodes = {name for each in graphs for node in each.node for name in [*node.input, *node.output]}
    return nodes | {value.name for each in graphs for value in values_in(each)}


def rename(graph, names):
    for each in graphs_in(graph):
        for node in each.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
        for value in values_in(each):
            value.name = names.get(value.name, value.name)


def compare(found, expected, inputs, tolerance=1e-3, hint=None):
    """Says how far the network is from its original on sample inputs, and fails if that is too far.

    `hint()` returns what else to say then.
    """
    shapes = [list(rows_of(values).shape) for values in (expected, found)]
    if shapes[0] != shapes[1]:
        fail(f"expected answers of the shape {shapes[0]}, as the original's to {inputs}; those of the ONNX file are {shapes[1]}. {OTHERWISE}")
    apart = difference(found, expected)
    print(f"largest difference to the original on {inputs}: {apart:.1e}")
    if apart > tolerance:
        more = f" {hint()}" if hint else ""
        fail(f"expected the ONNX file to answer as the original does; on {inputs} they differ by {apart:.1e}.{more} {OTHERWISE}")
