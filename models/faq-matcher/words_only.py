"""The yardstick: how far does comparing words get? No training on duplicates."""

from sklearn.feature_extraction.text import TfidfVectorizer


def words_only_scores(corpus, split):
    """Cosine of TF-IDF vectors [test duplicates, originals], which TfidfVectorizer scales to length 1."""
    vectorizer = TfidfVectorizer()
    originals = vectorizer.fit_transform([original.text for original in corpus.originals])
    return (vectorizer.transform([duplicate.text for duplicate in split.test]) @ originals.T).toarray()
