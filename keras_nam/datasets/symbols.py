"""The symbols of sentences that stand for something else than themselves."""

PAD = "<pad>"
START = "<bos>"
END = "<eos>"
UNKNOWN = "<unk>"
RARE = "<etc>"
MASK = "<mask>"

# The Penn Treebank's sign for a number, a word by itself.
NUMBER = "N"

# Those of more than one character that may stand in a sentence.
LONG_SYMBOLS = (UNKNOWN, RARE, MASK)
