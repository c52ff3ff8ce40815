"""TOML in and out: the line of every key, and the commented example."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalpcli.config import load
from scalpcli.config_fields import settings, to_toml
from scalpcli.config_toml import example_text, number_lines, read_toml
from scalpcli.errors import ConfigError
from scalpcli.model.params import Params

ROOT = Path(__file__).resolve().parents[2]

TEXT = '''\
# a comment with an = sign
"top level" = 1

[scalp]  # [not.a.header]
list = [
    1,  # [no]
    2,
]
text = """
[risk]
a = 1
"""
table = { inner = 1 }
dotted.key = 2
[ risk ]
x = "#"
[[blackout]]
name = 'one'
[[blackout]]
name = "two"
date = 2026-12-09
'''


def test_every_key_has_the_line_it_starts_on():
    """Comments, arrays and texts over several lines do not shift or invent keys."""
    lines = number_lines(TEXT)

    assert lines == {
        ("top level",): 2,
        ("scalp",): 4,
        ("scalp", "list"): 5,
        ("scalp", "text"): 9,
        ("scalp", "table"): 13,
        ("scalp", "table", "inner"): 13,
        ("scalp", "dotted"): 14,
        ("scalp", "dotted", "key"): 14,
        ("risk",): 15,
        ("risk", "x"): 16,
        ("blackout",): 17,
        ("blackout", 0): 17,
        ("blackout", 0, "name"): 18,
        ("blackout", 1): 19,
        ("blackout", 1, "name"): 20,
        ("blackout", 1, "date"): 21,
    }


def test_windows_line_ends_count_like_others():
    """A file from another system has the same lines."""
    assert number_lines(TEXT.replace("\n", "\r\n")) == number_lines(TEXT)


NAMES = st.text("abc_-", min_size=1, max_size=4)
VALUES = st.one_of(
    st.integers(-5, 5), st.text("a=[]#\"'\n\\ ", max_size=6), st.lists(st.integers(0, 9), max_size=3), st.booleans()
)


@given(
    file=st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=4), max_size=4),
    blanks=st.lists(st.sampled_from(["", "# [x]\n", "\n\n"]), min_size=1, max_size=5),
)
def test_the_numbered_line_holds_the_key(file, blanks):
    """On any file: each key's line starts with that key, and no key is missing."""
    text = ""
    count = 0
    for section, values in file.items():
        text += f"{blanks[count % len(blanks)]}[{section}]\n"
        for name, value in values.items():
            count += 1
            text += f"{blanks[count % len(blanks)]}{name} = {to_toml(value)}\n"

    lines = number_lines(text)

    rows = text.split("\n")
    assert tomllib.loads(text) == file
    assert set(lines) == {(s,) for s in file} | {(s, n) for s, values in file.items() for n in values}
    for path, line in lines.items():
        assert rows[line - 1].startswith(f"[{path[0]}]" if len(path) == 1 else f"{path[1]} = ")


def test_a_mark_at_the_head_of_a_file_is_no_content(tmp_path):
    """Some editors write a byte order mark; TOML parsers stumble over it."""
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf[scalp]\nstop_loss_pct = 12\n")

    file = read_toml(str(path))

    assert file.data == {"scalp": {"stop_loss_pct": 12}}
    assert file.lines[("scalp", "stop_loss_pct")] == 2


def test_an_endless_statement_is_not_followed(tmp_path):
    """Numbering is bounded: behind 200 lines of one array, messages name the file alone."""
    path = tmp_path / "config.toml"
    path.write_text("[scalp]\nx = [\n" + "1,\n" * 5000 + "]\n", encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load([str(path)], environ={})

    assert caught.value.found == "unknown setting `scalp.x`"
    assert caught.value.place == f"`{path}`, line 1"


def test_the_example_in_the_repository_is_the_generated_one():
    """It comes from the parameters; after a change: `scalpcli config init config.example.toml --force`."""
    assert (ROOT / "config.example.toml").read_text(encoding="utf-8") == example_text()


def test_the_example_read_back_is_every_default(tmp_path):
    """Whoever starts from the example starts from what would have happened without it."""
    path = tmp_path / "config.toml"
    path.write_text(example_text(), encoding="utf-8")

    loaded = load([str(path)], environ={})

    assert loaded.params == Params()
    assert not [key for key, origin in loaded.origin.items() if origin == "default"]


def test_the_example_explains_every_setting_with_its_limits():
    """Above every setting stands what it does, and what it may be."""
    text = example_text()

    for setting in settings().values():
        block = re.search(rf"\n\n((?:# .*\n)+){setting.name} = ", text)
        assert block is not None, setting.key
    for setting in settings().values():
        comments = " ".join(
            block.replace("\n# ", " ") for block in re.findall(rf"\n\n# ((?:.*\n# )*.*)\n{setting.name} = ", text)
        )
        assert setting.bounds.help[1:] in comments
        assert setting.limits_words() in comments
    assert max(map(len, text.splitlines())) <= 110
