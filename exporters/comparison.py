"""Compares a network with its original: on samples of its inputs, output by output."""

import numpy as np

from onnx_file import load, outputs_of
from program import OTHERWISE, fail, note, reason

# Each sample has some of one list. Frameworks and ONNX differ on divisions and indices below 0.
WHOLE_NUMBERS = [[0], [1], [2], [3], [5], [9], [-1], [-2], [-5], [-9], [0, 1], range(10), range(-9, 0), [-1, 0, 1], range(-9, 10)]
# Of a part of the inputs
FEW_NUMBERS = [[0], [5], [-1], [-5], range(10), range(-9, 0), range(-9, 10)]
# A matrix of more columns is a text or a picture, whose columns are alike.
COLUMNS_MAX = 32
# The smallest scale of probabilities, which are served with seven decimals. Next to 0, the sigmoid of ONNX Runtime is off by 1e-7.
PROBABILITIES = 1e-3
# What the sums of a network of floats may be off by, as a share of the largest
ROUNDING = 32 * np.finfo(np.float32).eps
# Operators that pass numbers on as they are
CARRIERS = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
TEXTS = ["a", "B", "", "hello world", "Good day, sir!", "ümlaut ß", "日本", "  x ", "12", "-1.5"]


def samples_around(values, texts=TEXTS):
    """Returns samples of the inputs of a network, in two groups: with other floats, and with others of the rest.

    The scale of a comparison is the range of a group, and floats can make that a large one.
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
    session, compared, probabilities = load(model), [], probabilities_of(model)
    for is_strict, answered in zip((True, False), groups):
        found = [outputs_of(session, feeds(values)) for values, _ in answered]
        for (_, expected), outputs in zip(answered, found):
            refuse_other_shapes(outputs, expected)
        for name in found[0] if found else []:
            samples = [feeds(values) for values, _ in answered]
            pairs = [numbers_of(outputs[name], expected[name]) for (_, expected), outputs in zip(answered, found)]
            is_half = any(expected[name].dtype == np.float16 for _, expected in answered)  # which may be off by a thousandth
            scale = PROBABILITIES if name in probabilities else 0 if is_half else None
            compared.append((pairs if is_strict else without_nan(pairs, samples), samples, scale))
    # A sigmoid may be all but 0 for one sample, so the largest number is that of all of them.
    joined = [([np.concatenate(values) for values in zip(*pairs)], scale) for pairs, _, scale in compared]
    worst = int(np.argmax([difference(*pair, scale) for pair, scale in joined]))
    count = sum(map(len, groups))
    pair, scale = joined[worst]
    compare(*pair, f"{count} samples", hint=lambda: hint_of_samples(*compared[worst][:2]), scale_min=scale)


def probabilities_of(model):
    """Returns the outputs that end in a sigmoid or a softmax."""
    makers = {name: node for node in model.graph.node for name in node.output}

    def ends_in(name):
        node = makers.get(name)
        if node is not None and node.op_type in CARRIERS:
            return ends_in(node.input[0])
        return node is not None and node.op_type in ("Sigmoid", "Softmax")

    return {output.name for output in model.graph.output if ends_in(output.name)}


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


def compare(found, expected, inputs, tolerance=1e-3, hint=None, scale_min=None):
    """Says how far the network is from its original on sample inputs, and fails if that is too far.

    `hint()` returns what else to say then.
    """
    shapes = [list(rows_of(values).shape) for values in (expected, found)]
    if shapes[0] != shapes[1]:
        fail(f"expected answers of the shape {shapes[0]}, as the original's to {inputs}; those of the ONNX file are {shapes[1]}. {OTHERWISE}")
    apart = difference(found, expected, scale_min)
    print(f"largest difference to the original on {inputs}: {apart:.1e}")
    if apart > tolerance:
        more = f" {hint()}" if hint else ""
        fail(f"expected the ONNX file to answer as the original does; on {inputs} they differ by {apart:.1e}.{more} {OTHERWISE}")


def difference(found, expected, scale_min=None):
    """Returns the largest difference, as a share of the range of the expected numbers, which may be years from 2000 to 2020.

    Of probabilities, and of what floats round away, it is a share of the largest number. So are all with a `scale_min`, which that
    number is at least.
    """
    found, expected = rows_of(found), rows_of(expected)
    if found.shape != expected.shape:
        return np.inf
    finite, apart = expected[np.isfinite(expected)], largest_apart(found, expected)
    largest = np.abs(finite).max(initial=scale_min or 0) or 1
    if scale_min is not None or apart <= ROUNDING * largest or np.all((finite >= 0) & (finite <= 1)):
        return apart / largest
    return apart / (np.ptp(finite) or largest)


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
