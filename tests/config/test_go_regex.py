"""Go's regular expressions in Python: Go itself says what is right."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scratchtasks.core.go_regex import compile_go

_GO = """\
package main

import (
	"encoding/json"
	"os"
	"regexp"
)

func main() {
	var asked [][2]string
	json.NewDecoder(os.Stdin).Decode(&asked)
	told := []string{}
	for _, pair := range asked {
		pattern, err := regexp.Compile(pair[0])
		switch {
		case err != nil:
			told = append(told, "error")
		case pattern.MatchString(pair[1]):
			told = append(told, "match")
		default:
			told = append(told, "none")
		}
	}
	json.NewEncoder(os.Stdout).Encode(told)
}
"""

PATTERNS = (
    "", "a", "^a$", "a$", "(?m)^b$", "(?m:^b)$", "a(?m)$|^b", "(?i)A|x", "a(?i)B|C", "(a(?i)B)c",
    "(?i:A)b", "(?-i)a", "(?is)A.B", "a.b", "(?s)a.b", r"\Aa\z", r"a\z", r"\Z", r"\d+", r"\D",
    r"\w\W", r"\s\S", r"[\s]", r"[^\d]", r"[\S\D]",
    "[[:alpha:]]+[[:digit:]]", "[[:^space:]]$", "[]a]", "[^]a]",
    "[a-c&&b]", "[a[b]", r"[\]\\]", r"\x41|\x{e9}", r"\Qa.b\E+", r"\Qa", r"a\Q+\Ea", "a{2}",
    "a{,2}",
    "a{1,2}?b", "{", "a{1001}", "a**", "a*+", "a+?", "(?=a)", "(?<=a)b", r"(a)\1",
    "(?P<n>a)(?<m>b)",
    r"(?i)[\W]", r"(?i)[^\W]", r"(?i:[\W_])|b", r"[\W]", "(?i)[[:^word:]]", "(?i)[^[:^alnum:]]",
    r"((?i)[\W])\W|[\W]", r"(?i)[\D]", r"(?i)[\S]", "{2}", "a|{1,2}", "a{12345}", "(?i){2}",
    "(?U)a+", "(", ")", "[", "*", "a|*", "(|a)", "()*", "(^a)+", r"\bword\b", r"\B", r"\8",
    r"\pL", "é", "(?i)É", "$a", "a$b", "(?m)a$\nb", "^*", r"\.", r"\-", r"\a\f\t\v\n\r", "x{2}{3}",
)  # fmt: skip
TEXTS = ("", "a", "b", "a\n", "a\nb", "\nb", "AB", "aB", "Abc", "aa", "aab", "a.b", "a+a", "a.bb",
         "word", "a word!", "1", " ", "]", "\\", "A", "é", "É", "a{,2}", "{", "a1",
         "abc", "ab\n", "_", "\v", "k", "K", "\u212a", "S", "s", "\u017f", "i")  # fmt: skip


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that answers for Go."""
    folder = tmp_path_factory.mktemp("oracle")
    (folder / "main.go").write_text(_GO)
    env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
    subprocess.run(["go", "build", "-o", "oracle", "main.go"], cwd=folder, env=env, check=True)
    return folder / "oracle"


def told_by(oracle: Path, asked: list[tuple[str, str]]) -> list[str]:
    done = subprocess.run(
        [oracle], input=json.dumps(asked).encode(), stdout=subprocess.PIPE, check=True
    )
    told: list[str] = json.loads(done.stdout)
    return told


def ours(pattern: str, text: str) -> str:
    try:
        return "match" if compile_go(pattern).search(text) else "none"
    except ValueError:
        return "error"


def test_every_kind_of_pattern_on_every_text(oracle: Path) -> None:
    asked = [(pattern, text) for pattern in PATTERNS for text in TEXTS]
    told = told_by(oracle, asked)
    differ = {
        pair: (mine, theirs)
        for pair, theirs in zip(asked, told, strict=True)
        if (mine := ours(*pair)) != theirs
    }
    # Python has no classes of Unicode, and those patterns are refused.
    assert {pattern for pattern, _ in differ} == {r"\pL"}
    assert {mine for mine, _ in differ.values()} == {"error"}


@given(st.text("ab(|)[]*+?{1,}^$.\\-i:dsQEz\n", max_size=12))
@example("(?i")
def test_any_text_compiles_or_is_refused(pattern: str) -> None:
    assert ours(pattern, "aab\n") in ("match", "none", "error")
