"""The corpus: read, clean, filter, split.

A corpus is three tab-separated files without a header, UTF-8, plain or gzip:

    orig-q  Id, AnswerId, Text0, CreationDate    the questions to match against
    dup-q   Id, AnswerId, Text0, CreationDate    the same questions in other words
    ans     Id, Text0                            the answers

Text0 is "title. body as HTML". A duplicate belongs to the original that has the same AnswerId.

What the cleaning means at scoring time: the model gets a user's raw text, which nobody has
cleaned. So cleaning only takes away what a user does not type (tags, entities, URLs) and
shortens runs of white space, which the model does not see anyway. Normalising (normalise.py) comes
after it, since serving normalises, too. Lower-casing is not done here, although it is part of the
method: it is the first step inside the model (terms.py), because raw text needs it too. The
reference's method, which has no such step, lower-cases by itself.

Rows are read as pandas reads them by default, which is how the reference reads: a field that
begins with a double quote is a quoted field, any other quote is an ordinary character.
"""

import csv
import gzip
import hashlib
import html
import io
import re
import sys
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from normalise import normalise_text

QUESTION_COLUMNS = ("Id", "AnswerId", "Text0", "CreationDate")
ANSWER_COLUMNS = ("Id", "Text0")
FIELD_CHARACTERS_MAX = 10_000_000
ORIGINALS_MIN = 3  # for fewer there is nothing to rank
DOWNLOAD_TIMEOUT_SECONDS = 60
DOWNLOAD_CHUNK_BYTES = 1 << 16


class CorpusError(Exception):
    """The input is not what it should be. The message names the file and, where there is one, the line."""


@dataclass(frozen=True)
class Original:
    id: int
    answer_id: int
    text: str  # cleaned and normalised
    title: str  # for people: no tags, case kept
    answer: str  # for people; normalised before it is trained on


@dataclass(frozen=True)
class Duplicate:
    id: int
    original: int  # index into Corpus.originals; the class the model shall predict
    text: str  # cleaned and normalised; exactly what goes into the model


@dataclass(frozen=True)
class Corpus:
    originals: list[Original]
    duplicates: list[Duplicate]


@dataclass(frozen=True)
class Split:
    train: list[Duplicate]
    test: list[Duplicate]


# Reading


def read_corpus(orig_q, dup_q, ans, *, min_text, min_dupes, keep_code, cache):
    """Reads three paths or URLs and returns the Corpus that is left after cleaning and filtering.

    The filters, in this order: repeated ids; duplicates that are originals too; texts shorter than
    `min_text` characters after cleaning; questions without an answer; originals with fewer than
    `min_dupes` duplicates, and duplicates without an original.
    """
    originals = _unique(read_questions(orig_q, cache), "id")
    duplicates = _unique(read_questions(dup_q, cache), "id")
    answers = {row["id"]: row["text"] for row in _unique(read_answers(ans, cache), "id")}

    original_ids = {row["id"] for row in originals}
    duplicates = [row for row in duplicates if row["id"] not in original_ids]

    for row in originals + duplicates:
        row["clean"] = normalise_text(clean_text(row["text"], keep_code=keep_code))
    originals = [row for row in originals if len(row["clean"]) >= min_text and row["answer_id"] in answers]
    originals = _unique(originals, "answer_id")
    duplicates = [row for row in duplicates if len(row["clean"]) >= max(min_text, 1)]

    counts = {row["answer_id"]: 0 for row in originals}
    for row in duplicates:
        if row["answer_id"] in counts:
            counts[row["answer_id"]] += 1
    originals = [row for row in originals if counts[row["answer_id"]] >= max(min_dupes, 1)]
    if len(originals) < ORIGINALS_MIN:
        raise CorpusError(
            f"{orig_q}: {len(originals)} originals are left after the filters, at least {ORIGINALS_MIN} are needed; "
            f"lower min-text (now {min_text}) or min-dupes (now {min_dupes})"
        )

    index = {row["answer_id"]: position for position, row in enumerate(originals)}
    return Corpus(
        originals=[
            Original(
                id=row["id"],
                answer_id=row["answer_id"],
                text=row["clean"],
                title=title_of(row["text"]),
                answer=readable_text(answers[row["answer_id"]]),
            )
            for row in originals
        ],
        duplicates=[
            Duplicate(id=row["id"], original=index[row["answer_id"]], text=row["clean"])
            for row in duplicates
            if row["answer_id"] in index
        ],
    )


def read_questions(source, cache):
    return [
        {"id": _integer(row[0], place), "answer_id": _integer(row[1], place), "text": row[2]}
        for place, row in read_rows(source, QUESTION_COLUMNS, cache)
    ]


def read_answers(source, cache):
    return [
        {"id": _integer(row[0], place), "text": row[1]} for place, row in read_rows(source, ANSWER_COLUMNS, cache)
    ]


def read_rows(source, columns, cache):
    """Yields ("file:line", fields) for every row of a path or an http(s) URL."""
    path = fetch(source, cache)
    text = _decode(path.read_bytes(), source)
    csv.field_size_limit(FIELD_CHARACTERS_MAX)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", quotechar='"', doublequote=True)
    rows = 0
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise CorpusError(f"{source}:{line}: {error}") from error
        if row is None:
            break
        if not row:
            continue
        if len(row) != len(columns):
            raise CorpusError(
                f"{source}:{line}: expected {len(columns)} columns ({', '.join(columns)}), got {len(row)}"
            )
        rows += 1
        yield f"{source}:{line}", row
    if rows == 0:
        raise CorpusError(f"{source}: the file has no rows")


def fetch(source, cache):
    """Returns the local path of `source`, downloading it into `cache` first if it is a URL."""
    source = str(source)
    if not re.match(r"https?://", source):
        path = Path(source)
        if not path.is_file():
            raise CorpusError(f"{source}: no such file")
        return path
    name = Path(urllib.request.url2pathname(source.split("?")[0])).name or "download"
    path = Path(cache) / f"{hashlib.sha256(source.encode()).hexdigest()[:12]}-{name}"
    if path.is_file():
        _say(f"{source}: already downloaded, {path}")
    else:
        _download(source, path)
    _say(f"{source}: sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return path


def _download(url, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    request = urllib.request.Request(url, headers={"User-Agent": "scoreline-faq-matcher"})
    try:
        with urllib.request.urlopen(request, timeout=DOWNLOAD_TIMEOUT_SECONDS) as response, part.open("wb") as file:
            length = int(response.headers.get("Content-Length") or 0)
            received = 0
            while chunk := response.read(DOWNLOAD_CHUNK_BYTES):
                file.write(chunk)
                received += len(chunk)
                share = f" of {length / 1e6:.1f} MB" if length else " MB"
                _say(f"\r{url}: {received / 1e6:.1f}{share}", end="")
            _say("")
    except urllib.error.HTTPError as error:
        raise CorpusError(f"{url}: the server answered {error.code} {error.reason}") from error
    except OSError as error:
        raise CorpusError(f"{url}: download failed: {getattr(error, 'reason', error)}") from error
    if length and received != length:
        part.unlink()
        raise CorpusError(f"{url}: download broke off after {received} of {length} bytes")
    part.replace(path)


def _decode(data, source):
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise CorpusError(f"{source}: broken gzip: {error}") from error
    elif re.search(r"\.gz(\?|$)", str(source)):
        raise CorpusError(f"{source}: expected gzip, as the name says, got {data[:16]!r}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CorpusError(f"{source}:{line}: expected UTF-8, got byte 0x{data[error.start]:02x}") from error


def _integer(field, place):
    try:
        return int(field)
    except ValueError:
        raise CorpusError(f"{place}: expected a whole number as an id, got {field[:40]!r}") from None


def _unique(rows, key):
    seen = set()
    return [row for row in rows if not (row[key] in seen or seen.add(row[key]))]


def _say(text, end="\n"):
    print(text, end=end, file=sys.stderr, flush=True)


# Cleaning

CODE_BLOCK = re.compile(r"<pre\b[^<>]*>\s*<code\b[^<>]*>.*?</code>\s*</pre>", re.DOTALL | re.IGNORECASE)
CODE = re.compile(r"<code\b[^<>]*>(.*?)</code>", re.DOTALL | re.IGNORECASE)
LINK = re.compile(r"<a\b[^<>]*>(.*?)</a>", re.DOTALL | re.IGNORECASE)
URL = re.compile(r"https?://\S+")
# Only the tags that a question-and-answer site stores: `i<n && n>0` in unescaped code is not a tag.
TAG = re.compile(
    r"</?(?:a|b|blockquote|br|code|dd|del|dl|dt|em|h[1-6]|hr|i|img|kbd|li|ol|p|pre|s|strike|strong|sub|sup|ul)"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
INLINE_TAG = re.compile(r"</?(?:a|b|code|del|em|i|kbd|s|strike|strong|sub|sup)(?:\s[^<>]*)?>", re.IGNORECASE)
POSSIBLE_DUPLICATE = re.compile(r"possible duplicate", re.IGNORECASE)


def clean_text(text, *, keep_code):
    """HTML to one line of text, case kept.

    `keep_code` False drops <pre><code>...</code></pre>, as the reference does. Its questions are long
    and the code is noise. Our own corpus has duplicates that are nothing but code, as a user of a
    FAQ pastes it; dropping the code would leave them empty. There only the tags go.
    """
    if not keep_code:
        text = CODE_BLOCK.sub(" ", text)
    text = LINK.sub(lambda link: " " if URL.fullmatch(link[1].strip()) else link[1], text)
    text = TAG.sub(" ", INLINE_TAG.sub("", text))
    return " ".join(html.unescape(text).split())


def readable_text(text):
    """HTML to one line for people: code between backticks."""

    def between_backticks(code):
        return f"`{code[1]}`" if "`" not in code[1] else f"`` {code[1]} ``"

    return clean_text(CODE.sub(between_backticks, text), keep_code=True)


def title_of(text):
    """The title of Text0: what stands before the body. A text without a body is all title."""
    title = re.split(r"<(?:p|pre|blockquote|ul|ol|h[1-6])\b", text, maxsplit=1)[0]
    title = clean_text(title, keep_code=True)
    return title.removesuffix(".") if not title.endswith("..") else title


def names_its_original(text):
    """Whether a text says "possible duplicate: <title of the original>", which gives the answer away."""
    return POSSIBLE_DUPLICATE.search(text) is not None


# Splitting


def split_corpus(corpus, *, test_fraction, seed):
    """Puts `test_fraction` of each original's duplicates, at least one and never all, into test.

    Each original draws from its own generator, seeded by `seed` and its id, so adding a question
    to the corpus leaves the split of the others as it was.
    """
    groups = [[] for _ in corpus.originals]
    for duplicate in corpus.duplicates:
        groups[duplicate.original].append(duplicate)
    train, test = [], []
    for original, group in zip(corpus.originals, groups):
        count = min(max(1, round(len(group) * test_fraction)), len(group) - 1)
        drawn = set(np.random.default_rng([seed, original.id]).permutation(len(group))[:count].tolist())
        for position, duplicate in enumerate(group):
            (test if position in drawn else train).append(duplicate)
    return Split(train=train, test=test)


# Banking77


def read_banking77(folder):
    """Returns (Corpus, Split): the first question of each intent is the original, test.csv is test.

    It has no answers.
    """
    train = _read_labelled(Path(folder) / "train.csv")
    test = _read_labelled(Path(folder) / "test.csv")
    index, originals, duplicates = {}, [], []
    for text, category in train:
        if category in index:
            duplicates.append(Duplicate(id=len(duplicates), original=index[category], text=text))
        else:
            number = index[category] = len(originals)
            originals.append(Original(id=number, answer_id=number, text=text, title=text, answer=""))
    held_out = [
        Duplicate(id=len(duplicates) + position, original=index[category], text=text)
        for position, (text, category) in enumerate(test)
    ]
    return Corpus(originals=originals, duplicates=duplicates + held_out), Split(train=duplicates, test=held_out)


def _read_labelled(path):
    if not path.is_file():
        raise CorpusError(f"{path}: no such file")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != ["text", "category"]:
            raise CorpusError(f"{path}:1: expected the columns text, category, got {reader.fieldnames}")
        return [(normalise_text(clean_text(row["text"], keep_code=True)), row["category"]) for row in reader]
