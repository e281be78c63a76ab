"""Sentences read from the usual files, and the errors where there are none."""

import pytest

from keras_nam.datasets import generated_sentences
from keras_nam.datasets import load_sentences

TREES = """
( (S
    (NP-SBJ (NNP Ms.) (NNP Haag) )
    (VP (VBZ plays)
      (NP (-NONE- *T*-1) (NNP Elianti) ))
    (. .) ))
( (S (NP (-LRB- -LRB-) (DT this) (-RRB- -RRB-)) (VP (VBZ ends))) )
"""
BROWN = """

\tThe/at Fulton/np-tl 1/2/cd ``/`` said/vbd ./.


\tIt/pps ended/vbd
"""


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_penn_treebank(tmp_path):
    write(
        tmp_path,
        data__ptb_dot_train_dot_txt=" aer N <unk> \n no it was n't \n",
        data__ptb_dot_valid_dot_txt=" consumers \n",
        data__ptb_dot_test_dot_txt=" no \n\n",
        data__ptb_dot_char_dot_train_dot_txt="a e r\n",
        data__README="other",
    )
    assert load_sentences(tmp_path) == ["aer N <unk>", "no it was n't"]
    assert load_sentences(tmp_path, "validation") == ["consumers"]
    assert load_sentences(str(tmp_path), split="test") == ["no"]


def test_penn_treebank_spelled_out(tmp_path):
    write(tmp_path, ptb_dot_char_dot_train_dot_txt="a e r _ N _ <unk> \n n o _ i t\n")
    assert load_sentences(tmp_path) == ["aer N <unk>", "no it"]
    file = tmp_path / "ptb.char.train.txt"
    assert load_sentences(file) == ["aer N <unk>", "no it"]
    with pytest.raises(ValueError, match=r"one file 'ptb.char.test.txt'.*Received: "):
        load_sentences(tmp_path, "test")


def test_penn_treebank_as_trees(tmp_path):
    write(
        tmp_path,
        wsj__00__wsj_0012_dot_mrg=TREES,
        wsj__22__wsj_2200_dot_mrg="( (S (NN validation)) )",
        wsj__23__wsj_2300_dot_mrg="( (S (NN test)) )",
    )
    assert load_sentences(tmp_path) == [
        "Ms. Haag plays Elianti .",
        "-LRB- this -RRB- ends",
    ]
    assert load_sentences(tmp_path, "validation") == ["validation"]
    assert load_sentences(tmp_path, "test") == ["test"]


def test_brown(tmp_path):
    write(tmp_path, ca02="Last/ap", ca01=BROWN, README="A file without tags.")
    expected = ["The Fulton 1/2 `` said .", "It ended", "Last"]
    assert load_sentences(tmp_path) == expected
    assert load_sentences(tmp_path / "ca01") == expected[:2]


def test_any_texts(tmp_path):
    write(tmp_path, b__b_dot_txt="Zwei  Sätze\r\n\r\nhier", a_dot_txt="one\n")
    assert load_sentences(tmp_path) == ["one", "Zwei Sätze", "hier"]
    assert load_sentences(tmp_path / "b" / "b.txt") == ["Zwei Sätze", "hier"]


def test_the_test_file_of_a_corpus_is_not_read_for_training(tmp_path):
    write(tmp_path, train_dot_txt="a", valid_dot_txt="b", test_dot_txt="c")
    assert load_sentences(tmp_path) == ["a"]
    assert load_sentences(tmp_path, "test") == ["c"]


def test_nothing_to_read(tmp_path):
    with pytest.raises(ValueError, match=r"ptb.train.txt.*no such file.*Received: "):
        load_sentences(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"ptb.train.txt.*There are none.*Received: "):
        load_sentences(tmp_path)
    write(tmp_path, a_dot_txt=" \n")
    with pytest.raises(ValueError, match=r"no sentence in the 1 files.*Received: "):
        load_sentences(tmp_path)
    with pytest.raises(ValueError, match=r"holds a part out.*Received: split='test'"):
        load_sentences(tmp_path, "test")
    with pytest.raises(ValueError, match=r"holds a part out.*Received: split='test'"):
        load_sentences(tmp_path / "a.txt", "test")
    with pytest.raises(ValueError, match=r"`split` must be one of.*Received: "):
        load_sentences(tmp_path, "valid")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"UTF-8. Received: .*a.txt"):
        load_sentences(tmp_path)


def test_more_than_one_corpus(tmp_path):
    write(tmp_path, a__train_dot_txt="a", b__train_dot_txt="b")
    with pytest.raises(ValueError, match=r"one file 'train.txt'.*Received: "):
        load_sentences(tmp_path)


def test_generated_sentences():
    sentences = generated_sentences(300, min_words=5, max_words=9, seed=3)
    assert sentences == generated_sentences(300, min_words=5, max_words=9, seed=3)
    assert sentences != generated_sentences(300, min_words=5, max_words=9, seed=4)
    assert {len(sentence.split()) for sentence in sentences} == {5, 6, 7, 8, 9}
    assert generated_sentences(0) == []
    with pytest.raises(ValueError, match="Received: min_words=2"):
        generated_sentences(1, min_words=2)
