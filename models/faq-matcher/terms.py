"""Text to terms: words, pairs of words, and runs of characters inside words.

The same steps exist twice, here for scikit-learn and in graph.py for ONNX Runtime, and must stay
equal. So they only use what both do alike:

- Lower-casing covers A-Z only. ONNX Runtime's StringNormalizer needs an installed locale for more
  (slim images have none, and then the model does not even load); the "C" locale always exists.
- A token is a run of ASCII letters, digits, `_` and `$`, or a run of other ASCII symbols: `=>`,
  `?.` and `...` are words of a question about code. Everything else separates. Python's `re` and
  ONNX Runtime's RE2 differ on what `\\w` and `\\b` mean, not on this; and the first character decides
  which kind a token is, so that "first alternative" and "longest match" are the same.
- A longer run is cut into several tokens, and only the first TOKENS_MAX tokens and CHARACTERS_MAX
  characters of a text count. That bounds what one request can cost.
- Runs of characters do not cross tokens, nor are they cut where a long token is. EDGE stands for
  what is before and behind a token, so that a run tells a prefix from a suffix.
"""

import re
import string
from collections import Counter

LETTERS = string.ascii_lowercase + string.digits + "_$"
SYMBOLS = "".join(sorted(set(string.punctuation) - set(LETTERS)))
TOKENS_MAX = 256
CHARACTERS_MAX = 2048
EDGE = " "
CHARACTERS_PER_TERM = 3

_LETTER, _SYMBOL = "[a-z0-9_$]", r"[!-#%-/:-@\[-^`{-~]"
TOKEN_PATTERN = f"{_LETTER}{{1,24}}|{_SYMBOL}{{1,3}}"
_TOKEN = re.compile(TOKEN_PATTERN)
_LONG_TOKEN = re.compile(f"{_LETTER}+|{_SYMBOL}+")
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def tokens(text):
    return _TOKEN.findall(text.translate(_LOWER))[:TOKENS_MAX]


def word_terms(text):
    """Single words and pairs of neighbours; a pair is joined by a space, which no token contains."""
    words = tokens(text)
    return words + [f"{first} {second}" for first, second in zip(words, words[1:])]


def character_terms(text):
    """Runs of CHARACTERS_PER_TERM neighbouring characters of a token and its edges."""
    terms = []
    for token in _LONG_TOKEN.findall(text.translate(_LOWER)[:CHARACTERS_MAX]):
        edged = EDGE + token + EDGE
        terms.extend(
            edged[start : start + CHARACTERS_PER_TERM] for start in range(len(edged) - CHARACTERS_PER_TERM + 1)
        )
    return terms


def is_evidence(term):
    """Whether a term is more than lone characters: a comma or a digit alone says nothing about a text."""
    return any(len(token) > 1 for token in term.split(EDGE))


def choose_terms(documents, terms_max, *, document_share_max=1.0):
    """Returns the `terms_max` most frequent terms of `documents`, which are lists of terms, in alphabetical order.

    Terms in more than `document_share_max` of the documents are left out. Where several terms have the
    last count that gets in, those in more documents go first, then the alphabet decides.

    CountVectorizer's `max_features` goes by the count alone, with an unstable sort, whose order of equal
    counts depends on the processor's vector instructions. Of our corpus some 1450 words and pairs share
    the last count, and as many runs of characters: a processor without AVX-512 chose 383 other terms, and
    held-out probabilities differed by 0.16.
    """
    counts, document_counts, documents_total = Counter(), Counter(), 0
    for document in documents:
        counts.update(document)
        document_counts.update(set(document))
        documents_total += 1
    kept = [term for term in counts if document_counts[term] <= document_share_max * documents_total]
    kept.sort(key=lambda term: (-counts[term], -document_counts[term], term))
    return sorted(kept[:terms_max])
