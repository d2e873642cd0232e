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
