"""Small folders in the formats of the real files."""

import gzip
import json

import numpy as np


def write_imdb(folder):
    for part in ("train", "test"):
        for name in ("neg", "pos"):
            path = folder / "aclImdb" / part / name
            path.mkdir(parents=True)
            for index in range(3):
                text = f"A {name} review, {part} {index}. Caf\u00e9"
                (path / f"{index}_7.txt").write_text(text, encoding="utf-8")
        (folder / "aclImdb" / part / "urls_pos.txt").write_text("not a review")


def write_reviews(folder):
    path = folder / "hutto_ICWSM_2014" / "movieReviewSnippets_GroundTruth.txt"
    path.parent.mkdir(parents=True)
    lines = [
        f"{index}\t{(-1) ** index * 1.5}\tSentence {words(index)} tr\u00e8s"
        for index in range(200)
    ]
    lines.append(f"200\t0.0\tNeither {words(3)}")
    lines.append(f"201\t1.5\tSentence {words(0)} tr\u00e8s")
    path.write_text("\n".join(lines) + "\n", encoding="latin-1")


def write_spam(folder):
    for name, kind in (("easy-ham-1", "good"), ("spam_2", "bad")):
        path = folder / "data" / name
        path.mkdir(parents=True)
        for index in range(100):
            mail = (
                f"From: {kind}@x\nSubject: {kind}\n\nDear {words(index)},\n\n{kind}\n"
            )
            name = path / f"{index:05d}.0abc"
            if index % 2:
                name.write_text(mail.replace("\n", "\r\n"), newline="")
            else:
                name.with_suffix(".0abc.txt").write_text(mail)
                name.with_suffix(".0abc.json").write_text(json.dumps({"text": mail}))
        (path / "cmds").write_text("mv 1 2")
    # The same text with another number in it, and a mail of headers alone.
    (path / "00500.0abc").write_text(f"To: you\n\nDear {words(1)}, 7\nbad")
    (path / "00501.0abc").write_text("To: you\n\n \n")


def words(index):
    return " ".join("abcdefghij"[int(digit)] * 3 for digit in str(index))


def write_fashion(folder):
    random = np.random.default_rng(0)
    for part, count in (("train", 20), ("t10k", 4)):
        images = random.integers(0, 256, (count, 28, 28)).astype(np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        for name, values in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, values.ndim])
            header += np.array(values.shape, ">i4").tobytes()
            with gzip.open(folder / f"{part}-{name}-ubyte.gz", "wb") as file:
                file.write(header + values.tobytes())


def write_aan(folder):
    for part in ("train", "eval", "test"):
        lines = [
            f"{index % 2}.0\tP{index}\tQ{index}\tb'First {part}\\n{index}'\tIt's\n"
            for index in range(6)
        ]
        (folder / f"new_aan_pairs.{part}.tsv").write_text("".join(lines))


def write_brown(folder):
    for number in range(60):
        tokens = [
            f"{word}{number}/{tag}"
            for _ in range(12)
            for word, tag in (("The", "at"), ("and/or", "cc"), (".", "."))
        ]
        name = f"c{'abc'[number // 20]}{number % 20 + 1:02d}"
        (folder / name).write_text("\n\n\t" + " ".join(tokens) + "\n\n")
    (folder / "cats.txt").write_text("ca01 news")
