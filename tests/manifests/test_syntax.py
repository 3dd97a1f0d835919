"""What is neither YAML nor JSON is told at its place; what may be is left alone."""

import pytest

from scratchtasks.core.errors import ConfigErrors
from scratchtasks.manifests.syntax import check_syntax, syntax_fault

from .samples import ALL, NOT_YAML


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b: scratch://api\n", "1:5: not YAML: mapping values are not allowed in this context"),
        (
            "a: scratch://api\n b: c\n",
            "2:3: not YAML: mapping values are not allowed in this context",
        ),
        (
            "a: scratch://api\n---\n- x\ny: z\n",
            "4:1: not YAML: did not find expected '-' indicator",
        ),
        ("\ufeffa: {scratch://api]\n", "1:18: not YAML: did not find expected ',' or '}'"),
        ("a:\n\tb: scratch://api\n", "2:1: not YAML: found character that cannot start any token"),
        ("a: 'scratch://api\n", "2:1: not YAML: found unexpected end of stream"),
        ('{"a": "scratch://api",\t"b"', "2:1: not YAML: did not find expected ',' or '}'"),
    ],
)
def test_what_is_no_yaml(text: str, said: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        check_syntax({"k8s/api.yaml": text, "k8s/web.yaml": "a: b\n"})
    assert str(caught.value) == f"k8s/api.yaml:{said}"


def test_one_place_of_each_file() -> None:
    with pytest.raises(ConfigErrors) as caught:
        check_syntax({"a.yaml": "- a\nb: c\n: [", "b.yaml": "- a\nb: c\n"})
    wanted = "2:1: not YAML: did not find expected '-' indicator"
    assert str(caught.value) == f"a.yaml:{wanted}\nb.yaml:{wanted}"


@pytest.mark.parametrize("name", ALL)
def test_samples(name: str) -> None:
    assert (syntax_fault(ALL[name], name) is None) == (ALL[name] != NOT_YAML)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: b: {{ .Values.c }}\n",  # YAML once it is filled in, or not
        '{"a": "scratch://api"}\n\n{"b": 1}\n',
        '{"a":\t"\\ud83d\\ude00"}',
        "%TAG !e! tag:example.com,2026:\n---\na: !e!b scratch://api\n",
        "a: !reset null\nb: !override [scratch://api]\nc: ${X:-y}\n",
        "a: *unknown\nb: 1\nb: 2\n<<: scratch://api\n",
        "\ufeffa: scratch://api\n\ufeffb: scratch://api\n",
        "a: \x01\n",
    ],
)
def test_what_may_be_read_by_somebody(text: str) -> None:
    assert syntax_fault(text, "x") is None
