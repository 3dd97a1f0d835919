"""Structure tests as they are written: what is read, and what is refused in which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.config.structure import parse_structure
from scratchtasks.core.errors import ConfigErrors
from scratchtasks.core.structure import (
    CommandTest,
    ContentTest,
    ExistenceTest,
    Expected,
    MetadataTest,
    StructureTest,
)

HEAD = 'schemaVersion: "2.0.0"\n'
ONE = HEAD + "fileExistenceTests: [{name: a, path: /a}]\n"


def refused(text: str) -> str:
    with pytest.raises(ConfigErrors) as caught:
        parse_structure(text, "cst.yaml")
    return str(caught.value)


def test_everything_is_read() -> None:
    text = f"""{HEAD}
globalEnvVars: [{{key: A, value: 1}}]
commandTests:
- name: runs
  setup: [[/bin/a, 1]]
  teardown: [[/bin/b]]
  envVars: [{{key: B, value: yes}}]
  exitCode: 3
  command: /bin/c
  args: [-x, 8080, 1.10, true, null, ~]
  expectedOutput: [a]
  excludedOutput: [b]
  expectedError: [c]
  excludedError: [d]
fileExistenceTests:
- {{name: is, path: /a, permissions: -rwxr-xr-x, uid: 0, gid: 7, isExecutableBy: group}}
- {{name: is not, path: /b, shouldExist: no}}
fileContentTests:
- {{name: holds, path: /a, expectedContents: [a], excludedContents: [b]}}
metadataTest:
  envVars: [{{key: A, value: .*, isRegex: true}}]
  unboundEnvVars: [{{key: C}}]
  exposedPorts: [8080]
  unexposedPorts: ["9090"]
  entrypoint: []
  cmd: [serve]
  workdir: /srv
  volumes: [/data]
  unmountedVolumes: [/other]
  labels: [{{key: vendor, value: x}}]
  user: 1001:1001
licenseTests: []
"""
    assert parse_structure(text, "cst.yaml") == StructureTest(
        origin="cst.yaml",
        env=(("A", "1"),),
        commands=(
            CommandTest(
                name="runs",
                command="/bin/c",
                args=("-x", "8080", "1.10", "true", "", ""),
                setup=(("/bin/a", "1"),),
                env=(("B", "yes"),),
                exit_code=3,
                stdout=("a",),
                not_stdout=("b",),
                stderr=("c",),
                not_stderr=("d",),
            ),
        ),
        existence=(
            ExistenceTest(
                name="is", path="/a", permissions="-rwxr-xr-x", uid=0, gid=7, executable_by="group"
            ),
            ExistenceTest(name="is not", path="/b", should_exist=False),
        ),
        contents=(ContentTest(name="holds", path="/a", contents=("a",), not_contents=("b",)),),
        metadata=MetadataTest(
            env=(Expected("A", ".*", is_regex=True),),
            unset=("C",),
            ports=("8080",),
            not_ports=("9090",),
            entrypoint=(),
            cmd=("serve",),
            workdir="/srv",
            volumes=("/data",),
            not_volumes=("/other",),
            labels=(Expected("vendor", "x"),),
            user="1001:1001",
        ),
    )


def test_json_is_yaml() -> None:
    text = '{"schemaVersion": "2.0.0", "fileContentTests": [{"name": "a", "path": "/a"}]}'
    assert parse_structure(text, "cst.json").contents == (ContentTest(name="a", path="/a"),)


def test_merge_keys_are_yaml() -> None:
    text = """
fileExistenceTests:
- &a {name: a, path: /a, uid: 7}
- &b {<<: *a, name: b, gid: 8}
- {name: c, <<: [{path: /c}, *b]}
"""
    assert parse_structure(HEAD + text, "cst.yaml").existence == (
        ExistenceTest(name="a", path="/a", uid=7),
        ExistenceTest(name="b", path="/a", uid=7, gid=8),
        ExistenceTest(name="c", path="/c", uid=7, gid=8),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cst.yaml: schemaVersion: missing (wanted \"2.0.0\")"),
        ("schemaVersion: 1.0.0\n",
         'cst.yaml: schemaVersion: wanted "2.0.0", got the string "1.0.0"'),
        (HEAD, "cst.yaml: there is no test in it\n"
               "    hint: see commandTests, fileExistenceTests"),
        (HEAD + "metadataTest: {user: ''}\n", "cst.yaml: there is no test in it\n"
                                              "    hint: see commandTests, fileExistenceTests"),
        (HEAD + "fileExistenceTests: [{<<: [a]}]\n",
         "cst.yaml: line 2, column 23: not YAML: << wants a mapping"),
        (ONE + "fileContentTest: []\n", "cst.yaml: unknown key 'fileContentTest'\n"
                                        "    hint: did you mean 'fileContentTests'?"),
        (HEAD + "commandTests: [{name: a, comand: /a}]\n",
         "cst.yaml: unknown key 'commandTests[0].comand'\n    hint: did you mean 'command'?\n"
         "cst.yaml: commandTests[0].command: missing (wanted a string that is not empty)"),
        (HEAD + "commandTests: [{name: a, command: /a, exitCode: '3', args: x}]\n",
         'cst.yaml: commandTests[0].exitCode: wanted an integer from 0 to 255, got the string "3"\n'
         'cst.yaml: commandTests[0].args: wanted an array of strings, got the string "x"\n'
         '    hint: write ["x"]'),
        (HEAD + "commandTests: [{name: a, command: /a, setup: [[]]}]\n",
         "cst.yaml: commandTests[0].setup[0]: wanted an array of strings, at least one, "
         "got an empty array"),
        (HEAD + "commandTests: [{name: a, command: /a, expectedOutput: ['(?=a)', '(', '\\1']}]\n",
         "cst.yaml: commandTests[0].expectedOutput[0]: not a regular expression of Go's: "
         "invalid or unsupported Perl syntax: (?=a\n"
         "cst.yaml: commandTests[0].expectedOutput[1]: not a regular expression of Go's: "
         "missing closing )\n"
         "cst.yaml: commandTests[0].expectedOutput[2]: not a regular expression of Go's: "
         "invalid or unsupported escape sequence: \\1"),
        (HEAD + "fileExistenceTests: [{name: a, path: /a, shouldExist: 1, isExecutableBy: all}]\n",
         "cst.yaml: fileExistenceTests[0].shouldExist: wanted true or false, got the integer 1\n"
         'cst.yaml: fileExistenceTests[0].isExecutableBy: unknown group of users "all"\n'
         "    hint: known: any, group, other, owner"),
        (HEAD + "fileExistenceTests: [{name: a, path: /a, permissions: 0755}]\n",
         'cst.yaml: fileExistenceTests[0].permissions: wanted permissions such as "-rwxr-xr-x", '
         'got the string "0755"\n    hint: as Go shows it: dtrwxrwxrwx is 1777'),
        (HEAD + "fileExistenceTests: [{name: a, path: /a, permissions: rwxr-xr-x}]\n",
         'cst.yaml: fileExistenceTests[0].permissions: wanted permissions such as "-rwxr-xr-x", '
         'got the string "rwxr-xr-x"\n    hint: as Go shows it: dtrwxrwxrwx is 1777'),
        (HEAD + "metadataTest: {labels: [{key: a, value: '(', isRegex: true}]}\n",
         "cst.yaml: metadataTest.labels[0].value: not a regular expression of Go's: "
         "missing closing )"),
        (ONE + "licenseTests: [{debian: true}]\ncontainerRunOptions: {privileged: true}\n",
         "cst.yaml: licenseTests: is not supported: it reads what Debian's packages leave behind\n"
         "cst.yaml: containerRunOptions: is not supported: images are tried out as they run in "
         "production"),
        ("a: [\n", "cst.yaml: line 2, column 1: not YAML: expected the node content, but found "
                   "'<stream end>'"),
        ("a: 1\na: 2\n", "cst.yaml: line 2, column 1: the key 'a' is there twice"),
        ("a: 1\n---\nb: 2\n", "cst.yaml: wanted one document, got 2"),
        ("- a\n", "cst.yaml: wanted a table, got an array"),
        ("a: &x [*x]\n", "cst.yaml: too large, or nested too deeply"),
        ("a: [*x]\n", "cst.yaml: line 1, column 5: not YAML: found undefined alias 'x'"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, message: str) -> None:
    assert refused(text) == message


def test_what_aliases_blow_up_is_refused() -> None:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert refused("\n".join(lines)) == "cst.yaml: too large, or nested too deeply"


@given(st.text(max_size=80) | st.text("[]{}:,-& *!|>'\"\n#a0", max_size=60))
def test_nothing_but_a_config_error_comes_of_any_text(text: str) -> None:
    where: list[str] = []
    try:
        parse_structure(text, "cst.yaml")
    except ConfigErrors as error:
        where = [each.where for each in error.errors]
    assert all(each.startswith("cst.yaml") for each in where)
