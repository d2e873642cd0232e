"""The trained pipeline as an ONNX graph that takes the text itself.

    text           string [N]       raw, as a user typed it
    probabilities  float32 [N, C]   class i is entry i of questions.json

Why not skl2onnx. It lower-cases by a locale that slim images lack, so its model does not load
there; it warns that character runs may not convert; and it multiplies a dense [N, features] matrix
by all coefficients, though a question has some hundred of ten thousand terms. Here the terms that
occur are picked out, their rows of coefficients gathered, and only those are multiplied. The
coefficients stay float16 in memory. The price is this file.

How the sparse product works. Of all K (text, term) pairs of a batch, `row` [1, K] has the text and
`term` [K] the term. A [N, K] matrix has each pair's weight in its text's row and 0 elsewhere; times
the gathered coefficients [K, C] that is every text's sum. A matrix product, not ScatterND: its
additions to the same row race when ONNX Runtime has more than one thread.

Character runs. Tokenizer splits each token into characters between marks. The result [N, tokens,
characters] is flattened to [N, tokens * characters], so runs across words do exist in the graph,
but each has a TOKEN_END before a further character, or padding, and no such run is in the vocabulary.

Invariant: a text always has a token. ONNX Runtime's TfidfVectorizer answers with a wrong shape when
no text of a batch has one, so SENTINEL, which no pattern matches, is appended to every text.
"""

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

import terms

ONNX_OPSET = 18
ONNX_IR_VERSION = 9
SENTINEL = " "
NORM_MIN = 1e-12  # divides the weights of a text without known terms, which are all 0


def make_model(pipeline):
    """Returns the ModelProto of a pipeline made by pipeline.py."""
    words, characters = (vectorizer for _, vectorizer in pipeline.named_steps["counts"].transformer_list)
    weights = pipeline.named_steps["weights"]
    classifier = pipeline.named_steps["classifier"]

    graph = _Graph()
    tokens = _add_tokens(graph)
    counts = graph.add(
        "Concat",
        [
            _add_counts(graph, tokens, [term.split(" ") for term in words.get_feature_names_out()]),
            _add_counts(graph, _add_characters(graph, tokens), list(characters.get_feature_names_out())),
        ],
        axis=1,
    )
    scores = _add_sparse_product(
        graph,
        counts,
        inverse_document_frequency=weights.idf_.astype(np.float32),
        coefficients=np.ascontiguousarray(classifier.coef_.T).astype(np.float16),
    )
    scores = graph.add("Add", [scores, graph.constant(classifier.intercept_.astype(np.float32))])
    graph.add("Softmax", [scores], output="probabilities", axis=-1)

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "faq-matcher",
            [helper.make_tensor_value_info("text", TensorProto.STRING, ["N"])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(classifier.classes_)])],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", ONNX_OPSET), helper.make_opsetid("com.microsoft", 1)],
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
        if isinstance(value, list):
            tensor = helper.make_tensor(name, TensorProto.STRING, [len(value)], [text.encode() for text in value])
        else:
            tensor = numpy_helper.from_array(np.asarray(value), name)
        self.initializers.append(tensor)
        return name


def _add_tokens(graph):
    """text [N] to tokens [N, T], shorter texts padded with empty tokens."""
    lower = graph.add("StringNormalizer", ["text"], case_change_action="LOWER", is_case_sensitive=1, locale="C")
    tokens = graph.add(
        "Tokenizer",
        [lower],
        domain="com.microsoft",
        mark=0,
        mincharnum=1,
        pad_value="",
        tokenexp=terms.TOKEN_PATTERN,
    )
    start, end, axis = (graph.constant(np.array([number])) for number in (0, terms.TOKENS_MAX, 1))
    tokens = graph.add("Slice", [tokens, start, end, axis])
    column = graph.add("Concat", [graph.add("Shape", [lower]), graph.constant(np.array([1]))], axis=0)
    sentinels = graph.add("Expand", [graph.constant([SENTINEL]), column])
    return graph.add("Concat", [tokens, sentinels], axis=1)


def _add_characters(graph, tokens):
    """tokens [N, T] to characters [N, T * L], each token between its marks and padded to L."""
    characters = graph.add(
        "Tokenizer", [tokens], domain="com.microsoft", mark=1, mincharnum=1, pad_value="", separators=[""]
    )
    return graph.add("Reshape", [characters, graph.constant(np.array([0, -1]))])


def _add_counts(graph, items, vocabulary):
    """items [N, M] to counts [N, len(vocabulary)]. A vocabulary entry is a sequence of neighbouring items."""
    lengths = range(1, max(map(len, vocabulary)) + 1)
    pool, pool_starts, columns = [], [], []
    for length in lengths:
        pool_starts.append(len(pool))
        for column, entry in enumerate(vocabulary):
            if len(entry) == length:
                pool.extend(entry)
                columns.append(column)
    return graph.add(
        "TfIdfVectorizer",
        [items],
        mode="TF",
        min_gram_length=min(map(len, vocabulary)),
        max_gram_length=max(lengths),
        max_skip_count=0,
        ngram_counts=pool_starts,
        ngram_indexes=columns,
        pool_strings=pool,
    )


def _add_sparse_product(graph, counts, *, inverse_document_frequency, coefficients):
    """counts [N, F] to scores [N, C]: (1 + log count) * idf, scaled to length 1, times the coefficients."""
    first, second = graph.constant(np.array([0])), graph.constant(np.array([1]))
    # On a flat tensor, where NonZero, the dearest step, takes a third less time than on a matrix. Looking
    # for blocks that are not all 0 first (ReduceMax) was measured too: no gain, eight more nodes.
    flat = graph.add("Reshape", [counts, graph.constant(np.array([-1]))])
    pairs = graph.add("NonZero", [flat])
    features = graph.constant(np.array([len(coefficients)]))
    row = graph.add("Div", [pairs, features])
    term = graph.add("Squeeze", [graph.add("Sub", [pairs, graph.add("Mul", [row, features])]), first])

    occurrences = graph.add("Gather", [flat, graph.add("Squeeze", [pairs, first])])
    weight = graph.add("Add", [graph.add("Log", [occurrences]), graph.constant(np.float32(1))])
    weight = graph.add("Mul", [weight, graph.add("Gather", [graph.constant(inverse_document_frequency), term])])

    size = graph.add("Squeeze", [graph.add("Shape", ["text"]), first])
    zero, one = graph.constant(np.array(0)), graph.constant(np.array(1))
    texts = graph.add("Unsqueeze", [graph.add("Range", [zero, size, one]), second])
    belongs = graph.add("Cast", [graph.add("Equal", [texts, row])], to=TensorProto.FLOAT)
    placed = graph.add("Mul", [belongs, weight])

    norm = graph.add("Sqrt", [graph.add("ReduceSumSquare", [placed, second], keepdims=1)])
    norm = graph.add("Max", [norm, graph.constant(np.float32(NORM_MIN))])
    gathered = graph.add("Cast", [graph.add("Gather", [graph.constant(coefficients), term])], to=TensorProto.FLOAT)
    return graph.add("Div", [graph.add("MatMul", [placed, gathered]), norm])
