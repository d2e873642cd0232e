"""The trained pipeline as an ONNX graph that takes the text itself.

    text           string [N]       as a user typed it, normalised (normalise.py)
    probabilities  float32 [N, C]   class i is entry i of questions.json
    known          float32 [N]      the summed weight of the text's known terms; 0: the probabilities say nothing

`known` leaves out terms of lone characters: a comma, a dash or a digit is in the vocabulary, and in a
text of another script it is no evidence. It is one more column of coefficients, 1 or 0, before the sum is
divided by the text's length; a sum of its own would take 6 % of the time. It is the second output, since
serving takes the first one of floats for the scores.

Why not skl2onnx. It lower-cases by a locale that slim images lack, so its model does not load
there; it warns that character runs may not convert; and it multiplies a dense [N, features] matrix
by all coefficients, though a question has some hundred of ten thousand terms. Here the terms that
occur are looked up, their rows of coefficients gathered, and only those are multiplied. The
coefficients stay 8 bits in memory. The price is this file.

Looking up. A term's number is its column in the pipeline's counts; UNKNOWN, which is the number of
columns, stands for everything else. Words and characters get numbers in dictionaries; from there on
it is arithmetic: a pair of words is one number made of two, and a run of three characters one made of
three, which a table turns into the term's. The table has an entry for every three characters, so it
also knows the edges of tokens: a neighbour of another kind (letter, symbol, anything else) is an edge.

How the sparse product works. Of all K terms that occur in the texts of a batch, with repetitions, `row`
[K] has the text and `term` [K] the term. Each occurrence gets its share of the term's weight in its
text, so that repetitions add up. A [N, K] matrix has each share in its text's row and 0 elsewhere; times
the gathered coefficients [K, C] that is every text's sum. A matrix product, not ScatterND: its
additions to the same row race when ONNX Runtime has more than one thread.
"""

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

import terms
from pipeline import quantize

ONNX_OPSET = 18
ONNX_ML_OPSET = 2
ONNX_IR_VERSION = 9
END = 2**31  # of a slice that goes to the end
NORM_MIN = 1e-12  # divides the weights of a text without known terms, which are all 0


def make_model(pipeline):
    """Returns the ModelProto of a pipeline made by pipeline.py."""
    words, characters = (
        list(vectorizer.get_feature_names_out())
        for _, vectorizer in pipeline.named_steps["counts"].transformer_list
    )
    weights = pipeline.named_steps["weights"]
    classifier = pipeline.named_steps["classifier"]

    coefficients, steps = quantize(classifier.coef_)
    evidence = [terms.is_evidence(term) for term in words + characters]
    graph = _Graph()
    unknown = len(words) + len(characters)
    text = graph.add("StringNormalizer", ["text"], case_change_action="LOWER", is_case_sensitive=1, locale="C")
    sums, norm = _add_sparse_product(
        graph,
        [
            *_add_words(graph, text, words, unknown),
            _add_character_runs(graph, text, characters, len(words), unknown),
        ],
        inverse_document_frequency=weights.idf_.astype(np.float32),
        coefficients=np.vstack([coefficients, evidence]).T.astype(np.int8, order="C"),
    )
    scores, known = graph.split(sums, [len(coefficients), 1])
    scores = graph.add("Div", [scores, norm])
    scores = graph.add("Mul", [scores, graph.constant(steps.astype(np.float32))])
    scores = graph.add("Add", [scores, graph.constant(classifier.intercept_.astype(np.float32))])
    graph.add("Softmax", [scores], output="probabilities", axis=-1)
    graph.add("Squeeze", [known, graph.constant(np.array([1]))], output="known")

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "faq-matcher",
            [helper.make_tensor_value_info("text", TensorProto.STRING, ["N"])],
            [
                helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(classifier.classes_)]),
                helper.make_tensor_value_info("known", TensorProto.FLOAT, ["N"]),
            ],
            graph.initializers,
        ),
        opset_imports=[
            helper.make_opsetid("", ONNX_OPSET),
            helper.make_opsetid("ai.onnx.ml", ONNX_ML_OPSET),
            helper.make_opsetid("com.microsoft", 1),
        ],
        ir_version=ONNX_IR_VERSION,
        producer_name="scoreline",
    )
    checker.check_model(model)
    return model


class _Graph:
    """Collects nodes and initializers, and names what has no name."""

    def __init__(self):
        self.nodes = []
        self.initializers = []

    def add(self, operator, inputs, *, output=None, **attributes):
        output = output or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, value):
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def slice(self, data, start, end):
        """Columns of a [N, M] tensor."""
        return self.add("Slice", [data, *(self.constant(np.array([number])) for number in (start, end, 1))])

    def split(self, data, sizes):
        """A [N, M] tensor as tensors of these numbers of columns."""
        outputs = [f"Split_{len(self.nodes)}_{number}" for number in range(len(sizes))]
        name = f"Split_{len(self.nodes)}"
        self.nodes.append(helper.make_node("Split", [data, self.constant(np.array(sizes))], outputs, name=name, axis=1))
        return outputs

    def look_up(self, keys, numbers, default):
        """The numbers of keys, which are strings or whole numbers."""
        kind = "keys_strings" if isinstance(next(iter(numbers)), str) else "keys_int64s"
        return self.add(
            "LabelEncoder",
            [keys],
            domain="ai.onnx.ml",
            values_int64s=list(numbers.values()),
            default_int64=default,
            **{kind: list(numbers)},
        )

    def combine(self, left, base, right):
        """left * base + right: one number for two."""
        return self.add("Add", [self.add("Mul", [left, self.constant(np.array(base))]), right])

    def gather(self, values, indices):
        """values[indices], of a list and a [N, M] tensor; a quarter of the time of Gather, which copies each
        number by a call."""
        flat = self.add("Reshape", [indices, self.constant(np.array([-1]))])
        found = self.add("GatherElements", [self.constant(values), flat])
        return self.add("Reshape", [found, self.add("Shape", [indices])], allowzero=1)

    def fill(self, shape, value):
        tensor = helper.make_tensor("value", TensorProto.FLOAT, [1], [value])
        return self.add("ConstantOfShape", [shape], value=tensor)


def _add_words(graph, text, words, unknown):
    """text [N] to terms [N, T] of its words, and [N, T - 1] of their pairs."""
    split = [word.split(" ") for word in words]
    numbers = {word: number for number, word in enumerate(sorted({word for term in split for word in term}))}
    other = len(numbers)
    singles = np.full(other + 1, unknown)
    pairs = {}
    for term, (first, *second) in enumerate(split):
        if second:
            pairs[numbers[first] * (other + 1) + numbers[second[0]]] = term
        else:
            singles[numbers[first]] = term

    tokens = graph.add(
        "Tokenizer",
        [text],
        domain="com.microsoft",
        mark=0,
        mincharnum=1,
        pad_value="",
        tokenexp=terms.TOKEN_PATTERN,
    )
    word = graph.slice(graph.look_up(tokens, numbers, other), 0, terms.TOKENS_MAX)
    pair = graph.combine(graph.slice(word, 0, -1), other + 1, graph.slice(word, 1, END))
    return [graph.gather(singles, word), graph.look_up(pair, pairs, unknown)]


def _add_character_runs(graph, text, runs, first, unknown):
    """text [N] to terms [N, characters]: of each character the run that has it in the middle."""
    alphabet = [None, *terms.LETTERS, *terms.SYMBOLS]  # None is any other character
    kinds = np.array([0] + [1] * len(terms.LETTERS) + [2] * len(terms.SYMBOLS))
    numbers = {character: number for number, character in enumerate(alphabet) if character}

    def neighbours(character, middle):
        """The numbers of what may stand beside a character and mean the same."""
        return np.flatnonzero(kinds != kinds[middle]) if character == terms.EDGE else [numbers[character]]

    table = np.full([len(alphabet)] * terms.CHARACTERS_PER_TERM, unknown, dtype=np.int16)
    for term, (before, character, after) in enumerate(runs, first):
        middle = numbers[character]
        table[np.ix_(neighbours(before, middle), [middle], neighbours(after, middle))] = term

    characters = graph.add(
        "Tokenizer", [text], domain="com.microsoft", mark=0, mincharnum=1, pad_value="", separators=[""]
    )
    number = graph.slice(graph.look_up(characters, numbers, 0), 0, terms.CHARACTERS_MAX)
    number = graph.add("Pad", [number, graph.constant(np.array([0, 1, 0, 1]))])
    run = graph.combine(graph.slice(number, 0, -2), len(alphabet), graph.slice(number, 1, -1))
    run = graph.combine(run, len(alphabet), graph.slice(number, 2, END))
    return graph.add("Cast", [graph.gather(table.ravel(), run)], to=TensorProto.INT64)


def _add_sparse_product(graph, found, *, inverse_document_frequency, coefficients):
    """Terms [N, M], some of them unknown, to the sums [N, C] of their weights, (1 + log count) * idf, times
    the coefficients, and the length [N, 1] of the weights."""
    first, second = graph.constant(np.array([0])), graph.constant(np.array([1]))
    zero, one = graph.constant(np.array(0)), graph.constant(np.array(1))
    unknown = graph.constant(np.array(len(coefficients)))
    size = graph.add("Shape", ["text"])
    texts = graph.add("Range", [zero, graph.add("Squeeze", [size, first]), one])
    texts = graph.add("Unsqueeze", [texts, second])

    # A cell is a text and a term as one number.
    found = graph.add("Concat", found, axis=1)
    known = graph.add("Reshape", [graph.add("Less", [found, unknown]), graph.constant(np.array([-1]))])
    cell = graph.add("Compress", [graph.combine(texts, len(coefficients), found), known])
    row = graph.add("Div", [cell, unknown])
    term = graph.add("Sub", [cell, graph.add("Mul", [row, unknown])])

    counts = graph.add(
        "ScatterElements",
        [graph.fill(graph.add("Mul", [size, unknown]), 0.0), cell, graph.fill(graph.add("Shape", [cell]), 1.0)],
        axis=0,
        reduction="add",
    )
    count = graph.add("GatherElements", [counts, cell])
    weight = graph.add("Add", [graph.add("Log", [count]), graph.constant(np.float32(1))])
    weight = graph.add("Mul", [weight, graph.add("GatherElements", [graph.constant(inverse_document_frequency), term])])

    belongs = graph.add("Cast", [graph.add("Equal", [texts, row])], to=TensorProto.FLOAT)
    shares = graph.add("Mul", [belongs, graph.add("Div", [weight, count])])
    squares = graph.add("ReduceSum", [graph.add("Mul", [shares, weight]), second], keepdims=1)
    norm = graph.add("Max", [graph.add("Sqrt", [squares]), graph.constant(np.float32(NORM_MIN))])
    gathered = graph.add("Cast", [graph.add("Gather", [graph.constant(coefficients), term])], to=TensorProto.FLOAT)
    return graph.add("MatMul", [shares, gathered]), norm
