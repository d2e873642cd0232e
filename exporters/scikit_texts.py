"""Vectorizers of scikit-learn: their token patterns in the syntax of ONNX Runtime, what skl2onnx leaves out of them or
writes in another way, and texts that show a difference.
"""

import re
from copy import copy
from types import SimpleNamespace

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common._registration import get_converter, get_shape_calculator
from skl2onnx.common.data_types import guess_proto_type
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from program import OTHERWISE, fail

# Every letter in order, without the halves of pairs
LETTERS = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
SPACES = [letter for letter in LETTERS if letter.isspace()]
SAMPLES = 50

# How \u03a3 is lowered, and how at the end of a word
SIGMA, FINAL_SIGMA = "\u03c3", "\u03c2"
# Of the languages whose capital of i is İ, as Turkish and Azerbaijani. Romanian may have ş, and has one of the others then.
DOTTED, ROMANIAN = set("ığşə"), set("ăţț")

COUNTER = get_converter("SklearnCountVectorizer")
WEIGHER = get_converter("SklearnTfidfTransformer")


def replace_text_converters():
    settings = {"tokenexp": None, "separators": None, "nan": [True, False], "keep_empty_string": [True, False], "locale": None}
    replace_converter(CountVectorizer, "SklearnCountVectorizer", count_words, settings)
    replace_converter(TfidfTransformer, "SklearnTfidfTransformer", weigh_counts, {"nan": [True, False]})


def replace_converter(model, name, converter, settings=None):
    """Lets skl2onnx convert a class with this function. `settings` are the options that it takes."""
    update_registered_converter(model, name, get_shape_calculator(name), converter, overwrite=True, options=settings)


def vectorizer_options(step):
    if step.analyzer != "word":
        fail(
            "expected a vectorizer with analyzer='word', since ONNX Runtime makes other terms of letters, and none by a "
            f"function; got {step.analyzer!r}. Train it again. {OTHERWISE}"
        )
    stops = stop_words(step)
    words = "".join([*step.vocabulary_, *stops])
    # Every machine has the locale C, which lowers only the letters of ASCII. Others matter only if a word has some.
    locale = "C" if words.isascii() or not step.lowercase else "C.UTF-8"
    options = {"locale": locale, "tokenexp": runtime_pattern(step.token_pattern)}
    for name in ("preprocessor", "tokenizer", "strip_accents"):
        if getattr(step, name) is not None:
            fail(f"expected a vectorizer without {name}, which has no counterpart in ONNX. {OTHERWISE}")
    # scikit-learn before 1.7 keeps the words that it left out. skl2onnx takes out of a batch each text that is one of them.
    vars(step).pop("stop_words_", None)
    return options


def stop_words(step):
    """Returns the words that a vectorizer takes out."""
    return sorted(step.get_stop_words() or [])


def runtime_pattern(pattern):
    """Writes a token pattern of scikit-learn in the syntax of ONNX Runtime, which is that of RE2."""
    if re.compile(pattern).groups:
        fail(
            f"expected a token_pattern without a group, whose part of a word ONNX Runtime cannot take; got {pattern!r}. "
            f"Write (?:…) if the token is the whole match, and train again. {OTHERWISE}"
        )
    pattern = pattern.replace("(?u)", "")
    # Words are as long as they can be, so their ends need no \b, which knows only ASCII there.
    pattern = re.sub(r"^\\b(?=\\w)", "", pattern)
    pattern = re.sub(r"(\\w(\+|\{\d+,\}))\\b$", r"\1", pattern)
    parts = re.findall(r"\[(?:\\.|[^\]\\])*\]|\\.|[^\\\[]+|.", pattern)
    return "".join(translate(part) for part in parts)


def translate(part):
    """Writes classes of letters as the letters themselves. Python takes them from all of Unicode, ONNX Runtime from ASCII."""
    if not re.search(r"\\[wdsWDS]", part):
        return part
    runs = [found[0] for found in re.finditer(f"{part}+", LETTERS)]
    return "[" + "".join(rf"\x{{{ord(run[0]):X}}}-\x{{{ord(run[-1]):X}}}" for run in runs) + "]"


def count_words(scope, operator, container):
    """Converts a CountVectorizer as skl2onnx does, but takes out the stop words, so that n-grams span them."""
    step = operator.raw_operator
    known = len(container.nodes)
    COUNTER(scope, operator, container)
    nodes = {node.op_type: node for node in container.nodes[known:]}
    # Short texts of a batch are padded. No word of the vocabulary is as long as this one.
    pad = "#" * (1 + max(map(len, step.vocabulary_)))
    next(each for each in nodes["Tokenizer"].attribute if each.name == "pad_value").s = pad.encode()
    # ONNX Runtime wants as many lengths of phrases as may be, and skl2onnx writes those that the vocabulary has.
    lengths = next(each for each in nodes["TfIdfVectorizer"].attribute if each.name == "ngram_counts")
    longest = next(each for each in nodes["TfIdfVectorizer"].attribute if each.name == "max_gram_length")
    longest.i = min(longest.i, len(lengths.ints))
    counter, stops = nodes["TfIdfVectorizer"], stop_words(step)
    finals = sorted({word for term in [*step.vocabulary_, *stops] for word in term.split() if word[1:].endswith(FINAL_SIGMA)})
    if finals and step.lowercase:
        counter.input[0] = with_final_sigma(scope, container, counter.input[0], finals)
    # Single words that are not in the vocabulary drop out anyway.
    if stops and (step.ngram_range[1] > 1 or not step.vocabulary_.keys().isdisjoint(stops)):
        counter.input[0] = without_words(scope, container, counter.input[0], stops, pad)


def with_final_sigma(scope, container, words, finals):
    """Ends words as Python lowers a \u03a3 at their end, which ONNX Runtime lowers as any other. `finals` are those that matter."""
    add, constant = writers(scope, container)
    keys = [f"{word[:-1]}{SIGMA}" for word in finals]
    known = {"keys_strings": keys, "values_int64s": list(range(len(keys))), "default_int64": -1}
    place = add("LabelEncoder", [words], 2, op_domain="ai.onnx.ml", **known)
    ended = add("Gather", [constant([word.encode() for word in finals], TensorProto.STRING), place], 13)
    return add("Where", [add("Less", [place, constant(0)], 13), words, ended], 16)


def without_words(scope, container, words, stops, pad):
    """Moves the other words of each row, of [rows, width], to its begin. Behind them it is padded."""
    add, constant = writers(scope, container)
    known = {"keys_strings": stops, "values_int64s": [0] * len(stops), "default_int64": 1}
    is_kept = add("LabelEncoder", [words], 2, op_domain="ai.onnx.ml", **known)
    shape = add("Shape", [words], 15)
    width = add("Gather", [shape, constant([1])], 13)
    count = add("CumSum", [is_kept, constant(1)], 14)
    place = add("Sub", [count, constant(1)], 14)
    # Stop words go into a column more, which is cut off.
    place = add("Where", [add("Cast", [is_kept], 13, to=TensorProto.BOOL), place, width], 16)
    blank = add("Expand", [constant([[pad.encode()]], TensorProto.STRING), add("Add", [shape, constant([0, 1])], 14)], 13)
    moved = add("ScatterElements", [blank, place, words], 18, axis=1)
    return add("Slice", [moved, constant([0]), width, constant([1])], 13)


def weigh_counts(scope, operator, container):
    """Converts a TfidfTransformer as skl2onnx does, but a sublinear count is 1 + log(count), where skl2onnx has log(1 + count)."""
    step = operator.raw_operator
    if not step.sublinear_tf:
        return WEIGHER(scope, operator, container)
    add, constant = writers(scope, container)
    (counts,) = operator.input_full_names
    kind = TensorProto.DOUBLE if guess_proto_type(operator.inputs[0].type) == TensorProto.DOUBLE else TensorProto.FLOAT
    zero = constant(0.0, kind)
    raised = add("Add", [add("Log", [counts], 13), constant(1.0, kind)], 14)
    weights = add("Where", [add("Equal", [counts, zero], 13), zero, raised], 16)
    plain = copy(step)
    plain.sublinear_tf = False
    names = {"input_full_names": [weights], "output_full_names": operator.output_full_names}
    return WEIGHER(scope, SimpleNamespace(raw_operator=plain, inputs=operator.inputs, **names), container)


def writers(scope, container):
    """Returns a function that adds a node, and one that adds a constant. Each returns the name of what it added."""

    def add(kind, inputs, version, **attributes):
        output = scope.get_unique_variable_name(kind)
        container.add_node(kind, inputs, output, name=scope.get_unique_operator_name(kind), op_version=version, **attributes)
        return output

    def constant(value, kind=TensorProto.INT64):
        name = scope.get_unique_variable_name("constant")
        container.add_initializer(name, kind, list(np.shape(value)), np.ravel(value).tolist())
        return name

    return add, constant


def sample_texts(vectorizer):
    """Returns texts of the terms of a vectorizer.

    Terms are as they are, in capitals, and a part of a longer word, which a wrong pattern cuts out. Others are repeated,
    each another number of times, with stop words, an unknown word and every kind of space between them.
    """
    terms = sorted(vectorizer.vocabulary_)[:: max(1, len(vectorizer.vocabulary_) // SAMPLES)]
    others = [*stop_words(vectorizer), "qqq"]
    texts = [f"{term}, {term.upper()}. {term}\u00e9" for term in terms]
    texts += [" ".join(terms), " ".join(f"{term}\u00e9 \u043c{term}" for term in terms), ""]
    rng = np.random.default_rng(1)
    for at, term in enumerate(terms):
        few = [term, *rng.choice(terms, 3)]
        words = [word for count, word in enumerate(few, 1) for word in [word] * count]
        texts.append(" ".join(rng.permutation(words)))
        mixed = [word for word in rng.permutation(words) for word in (*word.split(" "), rng.choice(others))]
        texts.append(" ".join(word.upper() if rng.random() < 0.1 else word for word in mixed))
        texts.append("".join(word + SPACES[(at + place) % len(SPACES)] for place, word in enumerate(words)))
    return [str(text) for text in [*texts, *ended_texts(vectorizer), *dotted_texts(vectorizer, terms)]]


def ended_texts(vectorizer):
    """Returns terms that end in sigma, as they are and in capitals, whose lower case depends on the place in the word."""
    terms = [term for term in sorted(vectorizer.vocabulary_) if term.endswith((SIGMA, FINAL_SIGMA))]
    return [text for term in terms[:SAMPLES] for text in (term, term.upper())]


def dotted_texts(vectorizer, terms):
    """Returns terms with İ, where their language has it. Python lowers it to i and a dot, which parts the word."""
    letters = set().union(*vectorizer.vocabulary_)
    if not vectorizer.lowercase or not letters & DOTTED or letters & ROMANIAN:
        return []
    return [term.replace("i", "\u0130") if "i" in term else f"\u0130{term}" for term in terms]


def hint_of_texts(vectorizers, texts, found, expected):
    """Returns the text whose answers differ the most, and why if that is known."""
    if np.size(found) != np.size(expected):
        return ""
    apart = np.abs(np.reshape(found, (len(texts), -1)) - np.reshape(expected, (len(texts), -1))).max(axis=1)
    text = texts[int(np.argmax(apart))]
    hint = f"They differ the most on {text[:120]!r}."
    # Python lowers one letter to two, and sigma by its place in the word.
    odd = sorted({letter for letter in text if len(letter.lower()) > 1 or letter == "\u03a3"})
    if odd and any(step.lowercase for step in vectorizers):
        return (
            f"{hint} ONNX Runtime has another lower case of {' '.join(odd)}: lower the texts yourself, for the training "
            "and in each request, and train again with lowercase=False."
        )
    return hint
