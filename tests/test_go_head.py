"""The head of a Go file holds all that `go list` reads, and little more."""

import json
import subprocess
from pathlib import Path

import pytest

from scratchtasks.core.go_head import go_head

# Go's own parser: for each file the offsets where its imports end, and its declarations begin.
PARSER = """package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	found := map[string][2]int{}
	filepath.Walk(os.Args[1], func(path string, _ os.FileInfo, _ error) error {
		files := token.NewFileSet()
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil
		}
		imports := files.Position(file.Name.End()).Offset
		first := int(file.FileEnd - file.FileStart)
		for _, each := range file.Decls {
			if general, ok := each.(*ast.GenDecl); ok && general.Tok == token.IMPORT {
				imports = files.Position(each.End()).Offset
			} else if at := files.Position(each.Pos()).Offset; at < first {
				first = at
			}
		}
		found[path] = [2]int{imports, first}
		return nil
	})
	json.NewEncoder(os.Stdout).Encode(found)
}
"""


def test_heads_are_what_gos_own_parser_calls_imports(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module parse\n")
    (tmp_path / "main.go").write_text(PARSER)
    root = subprocess.check_output(["go", "env", "GOROOT"], text=True).strip()
    said = subprocess.check_output(["go", "run", ".", f"{root}/src/"], cwd=tmp_path)
    offsets = json.loads(said)
    assert len(offsets) > 3_000
    wholes = 0
    for path, (imports, first) in offsets.items():
        source = Path(path).read_bytes()
        head = go_head(source)
        assert source.startswith(head)
        wholes += head == source
        assert head == source or imports <= len(head) <= first, path
    assert wholes < len(offsets) / 5


HEAD = '// Package a.\npackage a\n\nimport "fmt"\n\n'


@pytest.mark.parametrize(
    "body",
    [
        "func f() {}\n",
        "func (a A) f() {}\n",
        "type A struct{}\n",
        'var x = `\nimport "os"\n`\n',
        "const (\n\tx = 1\n)\n",
        "type(\n\tA int\n)\n",
        "var\n\tx int\n",
    ],
)
def test_a_head_ends_where_declarations_begin(body: str) -> None:
    assert go_head((HEAD + body).encode()) == HEAD.encode()


@pytest.mark.parametrize(
    "head",
    [
        "/*\nfunc f()\n*/\npackage a\n",
        "package a\n\nimport `fmt`\n",
        'package a\n\nimport (\n\tfunction "fmt"\n\tvariable "os"\n)\n',
        "// it's `so\npackage a\n",
        'package a\n// var x\nimport "var"\n',
    ],
)
def test_nothing_else_ends_a_head(head: str) -> None:
    assert go_head(f"{head}func f() {{}}\n".encode()) == head.encode()


@pytest.mark.parametrize(
    "source",
    [
        'package a\n\nimport _ "embed"\n\n//go:embed x\nvar x string\n',
        'package a\n\nimport _ "\\x65mbed"\n\nvar x string\n',
        "package a\n/*\nfunc f() {}\n",
        "package a\n`\nfunc f() {}\n",
        'package a\n"\nfunc f() {}\n',
        "package a\n",
        "",
    ],
)
def test_where_it_is_not_clear_all_is_read(source: str) -> None:
    assert go_head(source.encode()) == source.encode()
