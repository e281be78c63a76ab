"""Rows of the tasks as text, and text as rows."""

from functools import cache

from keras_nam.arguments import check_choice
from keras_nam.arguments import check_integers
from keras_nam.arguments import check_strings
from keras_nam.datasets.algorithms.listops import OPERATORS
from keras_nam.datasets.algorithms.tasks import TASKS
from keras_nam.datasets.algorithms.tasks import find_task
from keras_nam.optional import OptionalModule

# Layers of Keras, which drawing rows can do without.
tokenizers = OptionalModule("keras_nam.tokenizers")


def task_tokenizer(task):
    """Returns what turns texts of a task into tokens and back, inside of a graph too.

    `keras_nam.models.export_text_model` takes it. The texts of `load_long_range` are
    read by `keras_nam.tokenizers.ByteTokenizer`.

    Args:
        task: String. One of `TASKS`, see `encode` for the symbols of each.

    Returns:
        A `keras_nam.tokenizers.SymbolTokenizer`. Its mask is the symbol that a model
        replaces by its answer: padding for `"reduction"`, and none for `"listops"` and
        `"associative_recall"`.

    Example:

    ```python
    tokenizer = keras_nam.datasets.task_tokenizer("reverse")
    tokens = tokenizer.tokenize(["_12_MME", "_3_ME"])
    tokens[1].numpy().tolist()  # [10, 3, 10, 14, 13, 11, 11]
    tokenizer.detokenize(tokens)  # ['_ 1 2 _ M M E', '_ 3 _ M E . .']
    ```

    Raises:
        ValueError: If there is no such task.
    """
    alphabet = find_task(task).alphabet
    if task == "reduction":
        # The answer stands where the row has padding.
        alphabet = alphabet._replace(mask=alphabet.pad)
    return tokenizers.SymbolTokenizer(**alphabet._asdict())


_shared_tokenizer = cache(task_tokenizer)


def encode(text, task="addition"):
    """Turns text into tokens.

    Args:
        text: String, or list of strings that make rows of one length. In the digit
            tasks a digit stands for itself, `_` for the delimiter, `.` for padding,
            `S` for the start, `E` for the end, `M` for a mask and `C` for the token
            that the papers keep in reserve. `"dyck"` has the brackets `[](){}<>`, `_`,
            `M` and `.`; `"listops"` has `[MIN`, `[MAX`, `[MED`, `[SM`, `]`, digits
            and `.`, and its round brackets are skipped; `"associative_recall"` has
            `k1`, `v1`, `k2`, `v2` and so on, and `.`. Blanks part the symbols; where
            all symbols are single characters they may be left out.
        task: String. One of `TASKS`.

    Returns:
        An int32 array of shape `(time,)`, or `(batch, time)` for a list.

    Example:

    ```python
    keras_nam.datasets.encode("_ 1 2 _ M M E")
    # array([10,  1,  2, 10, 14, 14, 13], dtype=int32)
    ```

    Raises:
        ValueError: If a symbol is unknown, or rows differ in length.
    """
    tokenizer = _shared_tokenizer(check_choice("task", task, TASKS))
    is_single = isinstance(text, str)
    texts = check_strings("text", [text] if is_single else text)
    rows = tokenizer.tokenize(texts, ragged=True)
    lengths = rows.row_lengths().numpy().tolist()
    if len(set(lengths)) != 1:
        raise ValueError(
            "Argument `text` must hold rows of one length, at least one. "
            f"Received: {len(lengths)} rows with {lengths} tokens"
        )
    tokens = rows.flat_values.numpy().reshape(len(texts), lengths[0])
    return tokens[0] if is_single else tokens


def decode(tokens, task="addition"):
    """Turns tokens into readable text, padding included.

    Args:
        tokens: Integers of shape `(time,)` or `(batch, time)`, for example the
            `argmax` of what a model predicts.
        task: String. One of `TASKS`. See `encode` for the symbols of each.

    Returns:
        A string of symbols with blanks between them, or a list of such strings.

    Example:

    ```python
    keras_nam.datasets.decode([10, 1, 2, 10, 14, 14, 13])  # '_ 1 2 _ M M E'
    ```

    Raises:
        ValueError: If a token is not in the vocabulary of the task, or if `tokens`
            are not integers of rank 1 or 2.
    """
    return _shared_tokenizer(check_choice("task", task, TASKS)).detokenize(tokens)


def listops_text(tokens):
    """Writes an expression with the papers' brackets around every argument.

    `keras_nam.datasets.encode(text, task="listops")` is the inverse.

    Args:
        tokens: Integers of shape `(time,)`, an expression as `listops` returns it.
            Padding is left out.

    Returns:
        A string.

    Example:

    ```python
    tokens = keras_nam.datasets.encode("[MAX 3 5 ]", task="listops")
    keras_nam.datasets.listops_text(tokens)  # '( ( ( [MAX 3 ) 5 ) ] )'
    ```

    Raises:
        ValueError: If the tokens are not a complete expression.
    """
    tokens = check_integers("tokens", tokens)
    symbols = [x for x in decode(tokens, "listops").split() if x != "."]
    incomplete = ValueError(
        f"Argument `tokens` must be one complete expression. Received: {symbols}"
    )
    open_operations, finished = [], []
    for symbol in symbols:
        if finished and not open_operations:
            raise incomplete
        if symbol in OPERATORS:
            open_operations.append([symbol])
            continue
        if symbol == "]":
            if not open_operations or len(open_operations[-1]) < 2:
                raise incomplete
            pieces = [*open_operations.pop(), symbol]
            head, *rest = pieces
            symbol = "( " * len(rest) + " ".join([head, *(f"{x} )" for x in rest)])
        (open_operations[-1] if open_operations else finished).append(symbol)
    if open_operations or not finished:
        raise incomplete
    return finished[0]
