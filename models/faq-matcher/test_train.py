"""python -m unittest, in this folder. The corpora are tiny and made here; no network but 127.0.0.1."""

import contextlib
import functools
import gzip
import http.server
import io
import json
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import onnxruntime

import corpus
import graph
import normalise
import terms
import train
from pipeline import Settings, train_pipeline
from ranking import ranking_metrics, ranks_of_truth

FILLER = (
    "it has been bothering me for the whole week and nobody in my team could tell me the reason "
    "for it at all, so please explain this in simple words to me"
)
TOPICS = ("array sort", "promise await", "closure loop", "date format")

EDGE_CASES = [
    "",
    " \n\t ",
    "!!! ???",
    "\N{GRINNING FACE}",
    "How do I\r\nsort an array\N{GRINNING FACE}?",
    "\u00c4rger \u0130stanbul \ufb00 SORT \u017f \u212a",
    "\u6c49\u5b57 array\u00a0sort\u200barray",
    "\x02arr ay\x03|",
    "a => b?.c ?? d === e...",
    "array " * 4000,
    "x" * 20_000,
    "=>" * 10_000,
    "".join(map(chr, range(1, 2000))),
    " " * 2047 + "sort array",
]


def make_rows(duplicates=14):
    """Four originals (one of them with few duplicates) and what the filters must drop."""
    orig_q, dup_q, ans = [], [], []
    for index, topic in enumerate(TOPICS):
        orig_q.append((100 + index, 200 + index, f"How does {topic} work? <p>{FILLER} {topic}.</p>", "2020-01-01"))
        ans.append((200 + index, f"<p>Use <code>{topic.upper()}</code> &amp; be happy.</p>"))
        for number in range(duplicates if index < 3 else 11):
            text = f"Trouble {number} with {topic}. <p>{FILLER} {topic} {number}</p><pre><code>let {topic}</code></pre>"
            dup_q.append((1000 + 100 * index + number, 200 + index, text, "2021-01-01"))
    dup_q.append((100, 201, f"An original. <p>{FILLER}</p>", "2021-01-01"))
    dup_q.append((1000, 201, f"A repeated id. <p>{FILLER}</p>", "2021-01-01"))
    dup_q.append((9001, 200, "Too short. <p>sort</p>", "2021-01-01"))
    dup_q.append((9002, 999, f"No such original. <p>{FILLER}</p>", "2021-01-01"))
    orig_q.append((150, 299, f"No answer? <p>{FILLER}</p>", "2020-01-01"))
    return {"orig-q": orig_q, "dup-q": dup_q, "ans": ans}


def encode(rows):
    return "".join("\t".join(map(str, row)) + "\n" for row in rows).encode()


class CleaningTest(unittest.TestCase):
    def clean(self, text, keep_code=False):
        return corpus.clean_text(text, keep_code=keep_code)

    def test_code_blocks_go_or_stay_but_inline_code_always_stays(self):
        text = "Why. <p>Is <code>x</code> 1?</p><pre class='js'><code>let y;\n</code></pre>"
        self.assertEqual(self.clean(text), "Why. Is x 1?")
        self.assertEqual(self.clean(text, keep_code=True), "Why. Is x 1? let y;")

    def test_the_text_of_a_link_stays_unless_it_is_a_url(self):
        self.assertEqual(self.clean('see <a href="https://a.b/c">the manual</a> now'), "see the manual now")
        self.assertEqual(self.clean('see <a href="https://a.b/c">https://a.b/c</a> now'), "see now")

    def test_entities_are_unescaped_after_the_tags_went(self):
        self.assertEqual(self.clean("<p>a &lt;p&gt; &amp;&amp; b</p>"), "a <p> && b")

    def test_a_comparison_is_not_a_tag(self):
        self.assertEqual(self.clean("for (i = 0; i<n && n>0;)"), "for (i = 0; i<n && n>0;)")

    def test_a_title_is_the_text_before_the_body(self):
        self.assertEqual(corpus.title_of("Why &amp; how. <p>Body.</p>"), "Why & how")
        self.assertEqual(corpus.title_of("Why? <p>Body.</p>"), "Why?")
        self.assertEqual(corpus.title_of("Only a title"), "Only a title")

    def test_an_answer_keeps_its_code_between_backticks(self):
        self.assertEqual(corpus.readable_text("<p>Use <code>a &lt; b</code>.</p>"), "Use `a < b`.")


class NormalisingTest(unittest.TestCase):
    def test_the_cases_that_serving_tests_too(self):
        cases = json.loads((train.HERE / "normalise-cases.json").read_text(encoding="utf-8"))
        self.assertGreater(len(cases), 10)
        for case in cases:
            with self.subTest(case["name"]):
                self.assertEqual(normalise.normalise_text(case["text"]), case["normalised"])
                self.assertEqual(normalise.normalise_text(case["normalised"]), case["normalised"])

    def test_every_character_that_is_named_becomes_the_ascii_it_is_named_for(self):
        for ascii, characters in normalise.REPLACEMENTS.items():
            for character in characters:
                with self.subTest(f"U+{ord(character):04X}"):
                    self.assertEqual(normalise.normalise_text(f"a{character}b"), f"a{ascii}b")


class CorpusTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name, rows in make_rows().items():
            (self.folder / f"{name}.tsv").write_bytes(encode(rows))

    def read(self, **changes):
        options = {"min_text": 150, "min_dupes": 12, "keep_code": False, "cache": self.folder / "cache"} | changes
        files = (self.folder / name for name in ("orig-q.tsv", "dup-q.tsv", "ans.tsv"))
        with contextlib.redirect_stderr(io.StringIO()):
            return corpus.read_corpus(*files, **options)

    def assert_fails(self, message):
        with self.assertRaises(corpus.CorpusError) as caught:
            self.read()
        self.assertIn(message, str(caught.exception))

    def test_filters_drop_what_the_reference_drops(self):
        read = self.read()
        self.assertEqual([original.id for original in read.originals], [100, 101, 102])
        ids = [duplicate.id for duplicate in read.duplicates]
        self.assertEqual(len(ids), 42)
        self.assertEqual(len(set(ids)), 42)
        self.assertTrue({100, 9001, 9002}.isdisjoint(ids))
        self.assertEqual({read.duplicates[ids.index(1000)].original}, {0})
        self.assertEqual(read.originals[0].answer, "Use `ARRAY SORT` & be happy.")

    def test_fewer_duplicates_and_short_texts_can_be_allowed(self):
        read = self.read(min_text=0, min_dupes=8)
        self.assertEqual(len(read.originals), 4)
        self.assertIn(9001, [duplicate.id for duplicate in read.duplicates])

    def test_texts_are_normalised_for_the_model_but_not_for_people(self):
        for name in ("orig-q", "dup-q", "ans"):
            path = self.folder / f"{name}.tsv"
            path.write_text(path.read_text().replace("so please", "so don\u2019t").replace("happy", "happy\u2026"))
        read = self.read()
        self.assertIn("so don't explain", read.originals[0].text)
        self.assertIn("so don't explain", read.duplicates[0].text)
        self.assertTrue(read.originals[0].answer.endswith("happy\u2026."))

    def test_the_split_takes_its_share_of_every_original_and_repeats(self):
        read = self.read()
        split = corpus.split_corpus(read, test_fraction=0.21, seed=1)
        self.assertEqual([sum(d.original == index for d in split.test) for index in range(3)], [3, 3, 3])
        self.assertEqual(len(split.train) + len(split.test), 42)
        self.assertEqual(split, corpus.split_corpus(read, test_fraction=0.21, seed=1))
        self.assertNotEqual(split, corpus.split_corpus(read, test_fraction=0.21, seed=2))

    def test_a_row_with_too_few_columns_is_named_by_file_and_line(self):
        path = self.folder / "dup-q.tsv"
        lines = path.read_bytes().splitlines(keepends=True)
        lines[4] = b"1\t2\tno date\n"
        path.write_bytes(b"".join(lines))
        self.assert_fails(f"{path}:5: expected 4 columns (Id, AnswerId, Text0, CreationDate), got 3")

    def test_an_id_that_is_no_number_is_named_by_file_and_line(self):
        (self.folder / "ans.tsv").write_bytes(b"200\tyes\nId\tno\n")
        self.assert_fails("ans.tsv:2: expected a whole number as an id, got 'Id'")

    def test_text_that_is_not_utf8_is_named_by_file_and_line(self):
        (self.folder / "ans.tsv").write_bytes(b"200\tyes\n201\tn\xff\n")
        self.assert_fails("ans.tsv:2: expected UTF-8, got byte 0xff")

    def test_an_empty_file_and_a_missing_file_are_named(self):
        (self.folder / "ans.tsv").write_bytes(b"")
        self.assert_fails("ans.tsv: the file has no rows")
        (self.folder / "ans.tsv").unlink()
        self.assert_fails("ans.tsv: no such file")

    def test_quoted_fields_are_read_as_the_reference_reads_them(self):
        path = self.folder / "ans.tsv"
        path.write_bytes(b'1\t"said ""no"""\n2\tsaid "no"\n')
        rows = [row for _, row in corpus.read_rows(path, corpus.ANSWER_COLUMNS, self.folder)]
        self.assertEqual(rows, [["1", 'said "no"'], ["2", 'said "no"']])


class DownloadTest(unittest.TestCase):
    """The reference's way: three gzip files from a server."""

    @classmethod
    def setUpClass(cls):
        files = {f"/{name}.tsv.gz": gzip.compress(encode(rows)) for name, rows in make_rows().items()}
        files["/page.tsv.gz"] = b"<html>moved</html>"
        files["/cut.tsv.gz"] = files["/ans.tsv.gz"][:-20]

        class Handler(http.server.BaseHTTPRequestHandler):
            requests = 0

            def do_GET(self):
                Handler.requests += 1
                body = files.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        cls.handler = Handler
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        cls.url = f"http://127.0.0.1:{cls.server.server_address[1]}"
        cls.thread = threading.Thread(target=cls.server.serve_forever)
        cls.thread.start()

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.thread.join()
        cls.server.server_close()

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_train(self, *options, ans="ans.tsv.gz"):
        errors, output = io.StringIO(), io.StringIO()
        arguments = ["--orig-q", f"{self.url}/orig-q.tsv.gz", "--dup-q", f"{self.url}/dup-q.tsv.gz"]
        arguments += ["--ans", ans if ans.startswith("http") else f"{self.url}/{ans}"]
        arguments += ["--min-text", "150", "--min-dupes", "12", "--no-keep-code", "--skip-reference"]
        arguments += ["--cache", str(self.folder / "cache"), "--out", str(self.folder / "out"), *options]
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(output):
            code = train.main(arguments)
        return code, errors.getvalue(), output.getvalue()

    def test_the_references_files_train_a_model_and_check_agrees(self):
        code, errors, _ = self.run_train()
        self.assertEqual(code, 0, errors)
        self.assertIn("sha256", errors)
        out = self.folder / "out"
        self.assertEqual(len(json.loads((out / "questions.json").read_text())), 3)
        first = {path.name: path.read_bytes() for path in out.iterdir()}
        requests = self.handler.requests

        self.assertEqual(self.run_train()[0], 0)
        self.assertEqual({path.name: path.read_bytes() for path in out.iterdir()}, first)
        self.assertEqual(self.handler.requests, requests, "the second run downloaded again")
        self.assertEqual(self.run_train("--check")[0], 0)

    def test_check_names_what_differs(self):
        self.run_train()
        path = self.folder / "out" / "questions.json"
        path.write_text(path.read_text().replace("array sort", "array shuffle"))
        code, errors, _ = self.run_train("--check")
        self.assertEqual(code, 1)
        self.assertIn("differs: questions.json[0]: question", errors)

    def test_check_fails_on_another_setting_and_on_another_training_text(self):
        rows = make_rows()
        _, answer_id, text, date = rows["dup-q"][0]
        rows["dup-q"][0] = (1000, answer_id, text.replace("Trouble", "Bother"), date)
        path = self.folder / "dup-q.tsv"
        path.write_bytes(encode(rows["dup-q"]))
        self.run_train()
        code, errors, _ = self.run_train("--check", "--dup-q", str(path))
        self.assertEqual(code, 1)
        self.assertIn("differs: held-out.jsonl.gz", errors)

        settings = functools.partial(Settings, regularization=0.501)
        with mock.patch.object(train, "Settings", settings):
            code, errors, _ = self.run_train("--check")
        self.assertEqual(code, 1)
        self.assertIn("differs: metrics.json: pipelineSettings: regularization", errors)
        self.assertIn("differs: held-out.jsonl.gz: probabilities differ", errors)

    def test_failures_say_what_was_expected_and_write_nothing(self):
        cases = {
            "missing.tsv.gz": "/missing.tsv.gz: the server answered 404",
            "page.tsv.gz": "/page.tsv.gz: expected gzip, as the name says, got b'<html>",
            "cut.tsv.gz": "/cut.tsv.gz: broken gzip",
            "dup-q.tsv.gz": "/dup-q.tsv.gz:1: expected 2 columns (Id, Text0), got 4",
            "http://127.0.0.1:9/ans.tsv.gz": "http://127.0.0.1:9/ans.tsv.gz: download failed",
        }
        for ans, message in cases.items():
            with self.subTest(ans):
                code, errors, _ = self.run_train(ans=ans)
                self.assertEqual(code, 2)
                self.assertIn(message, errors)
                self.assertFalse((self.folder / "out").exists())


class GraphTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        originals = [corpus.Original(i, i, f"How does {topic} work?", topic, "") for i, topic in enumerate(TOPICS)]
        duplicates = [
            corpus.Duplicate(10 * i + n, i, f"{topic} trouble {n} => a?.b")
            for i, topic in enumerate(TOPICS)
            for n in range(6)
        ]
        read = corpus.Corpus(originals, duplicates)
        cls.pipeline, _ = train_pipeline(read, corpus.Split(duplicates, []), Settings(), seed=1)
        cls.session = onnxruntime.InferenceSession(
            graph.make_model(cls.pipeline).SerializeToString(), providers=["CPUExecutionProvider"]
        )

    def assert_agrees(self, texts):
        served, known = self.session.run(None, {"text": np.array(texts, dtype=object)})
        self.assertEqual(served.shape, (len(texts), len(TOPICS)))
        self.assertTrue(np.isfinite(served).all())
        np.testing.assert_allclose(served, self.pipeline.predict_proba(texts), atol=1e-5, rtol=0)
        np.testing.assert_allclose(known, self.known(texts), atol=1e-5, rtol=1e-5)

    def known(self, texts):
        counts = self.pipeline.named_steps["counts"].transform(texts).toarray()
        weights = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * self.pipeline.named_steps["weights"].idf_
        words, characters = (v.get_feature_names_out() for _, v in self.pipeline.named_steps["counts"].transformer_list)
        return weights @ [len(max(term.split(" "), key=len)) > 1 for term in [*words, *characters]]

    def test_the_graph_has_one_input_and_the_probabilities_as_its_first_output(self):
        self.assertEqual([(i.name, i.type) for i in self.session.get_inputs()], [("text", "tensor(string)")])
        self.assertEqual(
            [(o.name, o.type) for o in self.session.get_outputs()],
            [("probabilities", "tensor(float)"), ("known", "tensor(float)")],
        )

    def test_nothing_is_known_of_other_scripts_even_with_a_comma_and_a_digit(self):
        texts = ["\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440 - 1!", "\N{GRINNING FACE}", "", "sort"]
        _, known = self.session.run(None, {"text": np.array(texts, dtype=object)})
        self.assertEqual((known == 0).tolist(), [True, True, True, False])

    def test_odd_texts_agree_one_by_one_and_in_batches(self):
        for text in EDGE_CASES:
            with self.subTest(text[:20]):
                self.assert_agrees([text])
        self.assert_agrees(EDGE_CASES)
        self.assert_agrees(["", ""])

    def test_terms(self):
        self.assertEqual(terms.word_terms("A=>B"), ["a", "=>", "b", "a =>", "=> b"])
        self.assertEqual(terms.character_terms("Map"), [" ma", "map", "ap "])
        self.assertEqual(terms.character_terms("a=>b"), [" a ", " =>", "=> ", " b "])
        self.assertEqual(len(terms.character_terms("a" * 30)), 30)
        self.assertEqual(terms.character_terms("a" * 9000), terms.character_terms("a" * terms.CHARACTERS_MAX))
        self.assertEqual(len(terms.tokens("a " * 1000)), terms.TOKENS_MAX)


class VocabularyTest(unittest.TestCase):
    def test_of_equally_frequent_terms_those_in_more_documents_go_first_then_the_alphabet(self):
        documents = [["c", "c", "b"], ["b", "a", "d"], ["a", "often", "often", "often"]]
        self.assertEqual(terms.choose_terms(documents, 1), ["often"])
        self.assertEqual(terms.choose_terms(documents, 2), ["a", "often"])
        self.assertEqual(terms.choose_terms(documents, 3), ["a", "b", "often"])
        self.assertEqual(terms.choose_terms(documents, 9), ["a", "b", "c", "d", "often"])

    def test_no_order_of_the_documents_changes_the_choice(self):
        generator = np.random.default_rng(1)
        documents = [[f"t{number}" for number in generator.integers(500, size=20)] for _ in range(100)]
        chosen = terms.choose_terms(documents, 100)
        for _ in range(5):
            shuffled = [documents[index] for index in generator.permutation(len(documents))]
            self.assertEqual(terms.choose_terms(shuffled, 100), chosen)

    def test_terms_in_too_many_documents_are_left_out(self):
        self.assertEqual(terms.choose_terms([["a", "b"], ["a"], ["c"]], 9, document_share_max=0.5), ["b", "c"])

    def test_lone_characters_are_no_evidence(self):
        for term in (",", " , ", "1 )", " a "):
            self.assertFalse(terms.is_evidence(term), term)
        for term in ("=>", " ab", "a to"):
            self.assertTrue(terms.is_evidence(term), term)


class RankingTest(unittest.TestCase):
    def test_equal_scores_share_their_mean_rank(self):
        scores = np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.1, 0.1, 0.1]])
        np.testing.assert_array_equal(ranks_of_truth(scores, np.array([1, 0, 2])), [2, 1.5, 2])

    def test_metrics(self):
        metrics = ranking_metrics(np.eye(3), [0, 1, 1])
        self.assertEqual(metrics["accuracyAt1"], 0.6667)


if __name__ == "__main__":
    unittest.main()
