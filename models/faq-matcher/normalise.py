"""A text as the model is to see it: typographic quotes and dashes become the ASCII ones they were typed as.

Phones and word processors replace what is typed: `don't` becomes `don\u2019t`, `--` a long dash. The
model knows ASCII only, so these characters would cut words in two. Training normalises every text it
reads; serving does the same before the model, in api/kinds/normalise.ts. normalise-cases.json holds
both to one rule:

1. Of more than 30 combining marks in a row, the first 30 stay. More would take serving too long.
2. Replace by the table below.
3. Unicode NFKC: full-width letters, ligatures and the ellipsis become ASCII, too.
4. Replace by the table once more, since NFKC makes some of its characters out of others.

The second step cannot be left out: NFKC makes a space of the acute accent and two primes of the double
one.
"""

import unicodedata
from itertools import groupby, islice

# Long dashes are two hyphens: that is what a phone makes them of, and `i--` is code.
REPLACEMENTS = {
    "'": "\u00b4\u02bc\u2018\u2019\u201a\u201b\u2032\u2035\u2039\u203a",
    '"': "\u00ab\u00bb\u201c\u201d\u201e\u201f\u2033\u2036",
    "-": "\u2010\u2011\u2012\u2013\u2212",
    "--": "\u2014\u2015",
}
MARKS_MAX = 30
BECOME_MARKS = "\uff9e\uff9f"  # by NFKC

_TABLE = {ord(character): ascii for ascii, characters in REPLACEMENTS.items() for character in characters}


def normalise_text(text):
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", _limit_marks(text).translate(_TABLE)).translate(_TABLE)


def _limit_marks(text):
    runs = groupby(text, _is_mark)
    return "".join("".join(islice(run, MARKS_MAX) if are_marks else run) for are_marks, run in runs)


def _is_mark(character):
    return unicodedata.category(character).startswith("M") or character in BECOME_MARKS
