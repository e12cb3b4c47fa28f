"""Measures linear peers on the rows that bench/classifier exports.

    python peers.py DIR SET...        DIR/SET/train.tsv and test.tsv, columns text and label

Every peer is trained twice: on nine tenths of the training rows, to fit a temperature on the rest,
then on all of them, as usher does it. Speed is one thread's processor time from text to label.
"""
import json
import math
import os
import pickle
import random
import sys
import tempfile
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np

LEAST_SECONDS = 1.0
BINS = 15
AUTO = 0.9


def read(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    return [r[0] for r in rows[1:]], [r[1] for r in rows[1:]]


def softmax(logits, t):
    z = np.asarray(logits) / t
    z = z - z.max(axis=1, keepdims=True)
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True)


def temperature(logits, truth):
    """The T that makes the rows likeliest, by golden section on its logarithm."""
    rows = np.arange(len(truth))

    def surprise(x):
        p = softmax(logits, math.exp(x))[rows, truth]
        return -np.log(np.maximum(p, 1e-12)).mean()

    a, b, golden = -4.0, 4.0, 0.6180339887498949
    for _ in range(40):
        c, d = b - golden * (b - a), a + golden * (b - a)
        if surprise(c) < surprise(d):
            b = d
        else:
            a = c
    return math.exp((a + b) / 2)


def quality(logits, t, truth):
    p = softmax(logits, t)
    best, score = p.argmax(axis=1), p.max(axis=1)
    right = best == truth
    ece = 0.0
    bins = np.minimum((score * BINS).astype(int), BINS - 1)
    for b in range(BINS):
        m = bins == b
        if m.any():
            ece += abs(score[m].sum() - right[m].sum()) / len(truth)
    auto = np.round(score, 4) >= AUTO
    return {"accuracy": round(float(right.mean()), 4), "ece": round(float(ece), 4),
            "auto_coverage": round(float(auto.mean()), 4),
            "auto_precision": round(float(right[auto].mean()), 4) if auto.any() else None}


def nanos(f, n):
    """One thread's processor time per message of f, which handles n of them."""
    f()
    done, start = 0, time.process_time()
    while done == 0 or time.process_time() - start < LEAST_SECONDS:
        f()
        done += n
    return (time.process_time() - start) / done * 1e9


class Sklearn:
    def __init__(self, kind):
        self.kind = kind
        self.name = "scikit-learn " + ("LinearSVC" if kind == "svc" else "logistic regression")

    def fit(self, texts, labels, k):
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline, make_union
        from sklearn.svm import LinearSVC
        features = make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2))
        model = LinearSVC() if self.kind == "svc" else LogisticRegression(C=10, max_iter=150, tol=1e-3)
        self.model = make_pipeline(features, model)
        self.model.fit(texts, labels)

    def logits(self, texts):
        z = self.model.decision_function(texts)
        return np.column_stack([-z, z]) if z.ndim == 1 else z

    def nanos(self, texts):
        return nanos(lambda: self.model.predict(texts), len(texts))

    def single(self, texts):
        texts = texts[:200]
        return nanos(lambda: [self.model.predict([t]) for t in texts], len(texts))

    def size(self):
        return len(pickle.dumps(self.model))


class FastText:
    name = "fastText"

    def fit(self, texts, labels, k):
        import fasttext
        self.k = k
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as f:
            for text, label in zip(texts, labels):
                f.write("__label__%d %s\n" % (label, text.lower()))
            f.flush()
            self.model = fasttext.train_supervised(
                f.name, wordNgrams=2, minn=2, maxn=5, epoch=50, lr=1.0, dim=100, bucket=200000,
                thread=1, seed=1, verbose=0)

    def logits(self, texts):
        out = np.full((len(texts), self.k), math.log(1e-6))
        for i, text in enumerate(texts):
            for p, label in self.model.f.predict(text.lower() + "\n", self.k, 0.0, "strict"):
                out[i, int(label[9:])] = math.log(max(p, 1e-6))
        return out

    def nanos(self, texts):
        lines = [t + "\n" for t in texts]
        return nanos(lambda: [self.model.f.predict(t.lower(), 1, 0.0, "strict") for t in lines], len(lines))

    def size(self):
        with tempfile.TemporaryDirectory() as d:
            self.model.save_model(os.path.join(d, "m"))
            return os.path.getsize(os.path.join(d, "m"))


class VowpalWabbit:
    name = "Vowpal Wabbit"

    @staticmethod
    def split(text):
        """Words, and their character 3-4-grams, as a line of its format."""
        words = [w.replace(":", "").replace("|", "") for w in text.lower().split()]
        grams = []
        for w in words:
            w = "_" + w + "_"
            grams += [w[i:i + n] for n in (3, 4) for i in range(len(w) - n + 1)]
        return "|w %s |c %s" % (" ".join(words), " ".join(grams))

    def write(self, name, texts, labels=None):
        path = os.path.join(self.dir.name, name)
        with open(path, "w", encoding="utf-8") as f:
            for i, text in enumerate(texts):
                f.write(("%d " % (labels[i] + 1) if labels else "") + self.split(text) + "\n")
        return path

    def run(self, args):
        from vowpalwabbit import Workspace
        vw = Workspace(args + " --quiet")
        vw.run_parser()
        vw.finish()

    def fit(self, texts, labels, k):
        self.k = k
        self.dir = tempfile.TemporaryDirectory()
        order = list(range(len(texts)))
        random.Random(1).shuffle(order)
        path = self.write("train", [texts[i] for i in order], [labels[i] for i in order])
        self.file = os.path.join(self.dir.name, "m")
        self.run("-d %s --oaa %d --loss_function logistic --ngram w2 -b 22 -l 0.5 -c -k --passes 15 "
                 "--holdout_off -f %s" % (path, k, self.file))

    def logits(self, texts):
        path, raw = self.write("test", texts), os.path.join(self.dir.name, "raw")
        self.run("-t -i %s -d %s -r %s" % (self.file, path, raw))
        out = []
        with open(raw) as f:
            for line in f:
                if line.strip():
                    out.append([float(p.split(":")[1]) for p in line.split()[:self.k]])
        return np.array(out)

    def nanos(self, texts):
        """On lines that are split already: reading them, n-grams of words, and the label."""
        many = texts * max(1, 60000 // len(texts))
        path = self.write("speed", many)
        one = self.write("one", texts[:1])
        loading = nanos(lambda: self.run("-t -i %s -d %s" % (self.file, one)), 1)
        return (nanos(lambda: self.run("-t -i %s -d %s" % (self.file, path)), 1) - loading) / len(many)

    def whole(self, texts):
        """What splitting in Python adds."""
        return nanos(lambda: [self.split(t) for t in texts], len(texts))

    def size(self):
        return os.path.getsize(self.file)


def measure(peer, directory, name):
    texts, labels = read(os.path.join(directory, name, "train.tsv"))
    tests, truths = read(os.path.join(directory, name, "test.tsv"))
    index = {label: i for i, label in enumerate(sorted(set(labels)))}
    y = [index[label] for label in labels]
    kept = [i for i, label in enumerate(truths) if label in index]
    tests, truth = [tests[i] for i in kept], np.array([index[truths[i]] for i in kept])
    order = list(range(len(y)))
    random.Random(20261120).shuffle(order)
    cut = len(order) // 10
    start = time.process_time()
    peer.fit([texts[i] for i in order[cut:]], [y[i] for i in order[cut:]], len(index))
    t = temperature(peer.logits([texts[i] for i in order[:cut]]), np.array([y[i] for i in order[:cut]]))
    peer.fit(texts, y, len(index))
    spent = time.process_time() - start
    line = {"system": peer.name, "set": name, "train": len(y), "test": len(tests), "labels": len(index)}
    line.update(quality(peer.logits(tests), t, truth))
    ns = peer.nanos(tests)
    line.update({"temperature": round(t, 4), "train_cpu_s": round(spent, 1), "ns_per_message": round(ns),
                 "messages_per_cpu_second": round(1e9 / ns), "bytes": peer.size()})
    if hasattr(peer, "single"):
        line["ns_per_single_message"] = round(peer.single(tests))
    if hasattr(peer, "whole"):
        line["ns_per_message_split_in_python"] = round(peer.whole(tests))
    print(json.dumps(line), flush=True)


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: peers.py DIR SET...")
    for name in sys.argv[2:]:
        for peer in (VowpalWabbit(), FastText(), Sklearn("svc"), Sklearn("logreg")):
            try:
                measure(peer, sys.argv[1], name)
            except ImportError as e:
                print(json.dumps({"system": peer.name, "set": name, "not_measured": str(e)}), flush=True)


if __name__ == "__main__":
    main()
