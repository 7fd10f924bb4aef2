"""The project's own rules over every file that git has or would add: one line for each violation, exit status 1."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePath

from ansible_collections.awsome.distributed_training.plugins.module_utils.jsonschema_subset import validate
from ansible_collections.awsome.distributed_training.tests.lint import evidence, role_docs, support_page

ROOT = Path(__file__).resolve().parent.parent.parent
MODULE_UTILS = "ansible_collections.awsome.distributed_training.plugins.module_utils"

Files = Mapping[str, str]
"""Path from the project's root, and text."""

NOT_OURS = ("*.lock", "tests/recorded/*", "test_cases/lib/adt_train/text/*", "*LICENSE*")
STATE_THE_RULES = ("tests/lint/rules.py", "tests/unit/test_rules.py")
MAY_RUN_ON_TARGETS = ("plugins/modules/*.py", "plugins/module_utils/*.py", "roles/*/files/*.py")
RUN_BY_ANOTHER_PYTHON = ("plugins/module_utils/checks/pytorch_probe.py",)
"""Carried as text to a Python that has what it imports."""
START_ON_TARGETS = ("plugins/modules/*.py", "plugins/module_utils/checks/*.py", "roles/*/files/*.py")


@dataclass(frozen=True)
class Violation:
    """One place that breaks a rule."""

    path: str
    line: int
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}; fix: {self.fix}"


FORBIDDEN = (
    (r"\bignore_errors\s*:", "ignore_errors hides a failure", "failed_when with the outcome that is meant"),
    (r"\bfailed_when\s*:\s*['\"]?(false|no)\b", "this never fails", "failed_when with the outcome that is meant"),
    (r"\bvalidate_certs\s*[:=]\s*['\"]?(false|no)\b", "nobody is authenticated", "install the authority's certificate"),
    (r"\btrusted\s*[:=]\s*['\"]?(yes|true)\b", "the repository is not verified", "signed-by with a pinned key"),
    (r"\bgpgcheck\s*[:=]\s*['\"]?(0|no|false)\b", "packages are not verified", "gpgcheck=1 with a pinned key"),
    (r"\|\|\s*(true\b|:(?=\s|$))", "every failure is passed over", "test for the failure that is meant"),
)


def nothing_hides_a_failure(files: Files) -> Iterator[Violation]:
    """What switches off an error or a verification, where YAML, shell and templates act."""
    for path, text in files.items():
        if acts(path, text):
            for pattern, what, fix in FORBIDDEN:
                yield from found(path, text, re.compile(pattern, re.IGNORECASE), what, fix)


_PIPED = re.compile(
    r"\b(curl|wget)\b([^|;&\n]|\\\n)*\|\s*(sudo\s+(-\S+\s+)*)?(env\s+)?(ba|da|z)?sh\b"
    r"|\b(ba|da|z)?sh\s+(-c\s+)?[\"']?(<|\$)\(\s*(curl|wget)\b"
)


def nothing_is_piped_into_a_shell(files: Files) -> Iterator[Violation]:
    """Documentation that says so counts too."""
    for path, text in files.items():
        yield from found(path, text, _PIPED, "a download is piped into a shell", "role artifact, which verifies first")


_URL = re.compile(r"https?://(?P<host>[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+)")
# names and addresses from which nothing is downloaded: reserved ones (RFC 2606), numbers (this site), namespaces
_NO_DOWNLOAD = re.compile(r"(^|\.)(example(\.(com|org|net))?|invalid|test)$|^[0-9.]+$|^(www\.w3|json-schema)\.org$")
_CITES = re.compile(r"^\s*(- )?\"?(\$schema|\$id|fact_source|verified_from|description|summary|help)\"?\s*:")
MAY_NAME_DOWNLOADS = ("data/stack.yml", "meta/execution-environment.yml", "galaxy.yml", "docs/*", "*.md", "*.txt")


def downloads_stand_in_the_stack(files: Files) -> Iterator[Violation]:
    """Addresses in what acts. Prose, comments, docstrings and the source of a fact are free."""
    for path, text in files.items():
        if any(fnmatch(path, pattern) for pattern in MAY_NAME_DOWNLOADS):
            continue
        for line, words in strings(text) if path.endswith(".py") else uncommented(text):
            for url in _URL.finditer(words):
                if not _NO_DOWNLOAD.search(url["host"]):
                    yield Violation(path, line, f"address {url[0]} outside data/stack.yml", "lookup stack")


_MACHINE = re.compile(r"(?<![\w.$}~>/-])/(root|home|Users)/\w")


def no_path_of_one_machine(files: Files) -> Iterator[Violation]:
    """What lies elsewhere on the next machine."""
    for path, text in files.items():
        yield from found(path, text, _MACHINE, "an absolute path of one machine", "start from the file's own folder")


def targets_need_python_39(files: Files) -> Iterator[Violation]:
    """Amazon Linux 2023 runs modules by its system Python."""
    for path in select(files, MAY_RUN_ON_TARGETS):
        try:
            ast.parse(files[path], feature_version=(3, 9))
        except SyntaxError as error:
            yield Violation(path, error.lineno or 1, f"not Python 3.9: {error.msg}", "write it in the older syntax")


def targets_need_no_packages(files: Files) -> Iterator[Violation]:
    """What runs on a node, and every module_utils that it reaches, imports the standard library and Ansible's own."""
    todo = [path for path in select(files, START_ON_TARGETS) if path not in RUN_BY_ANOTHER_PYTHON]
    seen = {*todo, *RUN_BY_ANOTHER_PYTHON}
    for path in todo:
        for line, module in imports(files[path]):
            own = f"plugins/module_utils/{module.removeprefix(f'{MODULE_UTILS}.').replace('.', '/')}.py"
            if module.startswith(MODULE_UTILS):
                if own in files and own not in seen:
                    seen.add(own)
                    todo.append(own)
            elif module.split(".")[0] not in sys.stdlib_module_names and not module.startswith("ansible.module_utils"):
                yield Violation(path, line, f"{module} is not on every node", "leave it to the controller")


def modules_are_documented(files: Files) -> Iterator[Violation]:
    """ansible-doc shows every one."""
    for path in select(files, ("plugins/modules/*.py", "plugins/lookup/*.py")):
        for name in ("DOCUMENTATION", "EXAMPLES", "RETURN"):
            if not re.search(rf"^{name} = ", files[path], re.MULTILINE):
                yield Violation(path, 1, f"{name} is missing", f"add {name} before the imports")


def data_and_schemas_belong_together(files: Files) -> Iterator[Violation]:
    """data/NAME.yml, data/NAMEs/*.yml and case.yml each have a schema, and every schema has data."""
    used = {f"schemas/{name}.schema.json" for name in ("evidence", "manifest", "validation")}
    if select(files, ("molecule/*/scenario.yml",)):
        used.add("schemas/molecule_scenario.schema.json")  # tests/molecule holds each to it
    for path in select(files, ("data/*.yml", "test_cases/*/*/case.yml")):
        parts = PurePath(path).parts
        name = PurePath(path).stem if parts[0] == "test_cases" or len(parts) == 2 else parts[1].removesuffix("s")
        schema = f"schemas/{name}.schema.json"
        used.add(schema)
        if schema not in files:
            yield Violation(path, 1, "it has no schema", f"write {schema}")
    for schema in select(files, ("schemas/*",)):
        if schema not in used:
            yield Violation(schema, 1, "nothing is held to it", "remove it, or name it after its data")


_EVIDENCE = re.compile(r"<!-- evidence: (\S+) -->")
_HARDWARE = re.compile(r"\b(NVIDIA|[ABH][12]00|GB?[23]00|Trainium)\b")


def claims_have_evidence(files: Files) -> Iterator[Violation]:
    """A line of README.md that says what ran on hardware names its evidence, which is there."""
    for number, line in prose(files.get("README.md", "")):
        named = _EVIDENCE.findall(line)
        if _HARDWARE.search(line) and not named:
            yield Violation("README.md", number, "a claim without evidence", "end it with <!-- evidence: NAME -->")
        for name in named:
            if f"evidence/{name}.json" not in files:
                yield Violation(
                    "README.md", number, f"no evidence/{name}.json", "run what writes it, or drop the claim"
                )


def evidence_is_told(files: Files) -> Iterator[Violation]:
    """Every evidence/NAME.json has the form of its schema, and docs/evidence.md and docs/support.md tell them all."""
    rows = {}
    for path in select(files, ("evidence/*.json",)):
        rows[PurePath(path).stem] = row = json.loads(files[path])
        for problem in validate(row, json.loads(files["schemas/evidence.schema.json"]), path):
            yield Violation(path, 1, problem.message, problem.fix)
            return
    if rows and files.get(evidence.PAGE) != evidence.page(rows):
        yield Violation(evidence.PAGE, 1, "it does not tell what evidence/ holds", "make evidence")
    if support_page.SUBJECTS in files:
        for path, what in support_page.unknown(files):
            yield Violation(path, 1, what, f"a name that is there, or a new one in {support_page.SUBJECTS}")
        if files.get(support_page.PAGE) != support_page.page(files):
            yield Violation(support_page.PAGE, 1, "it does not tell what evidence/ shows", "make evidence")


def readmes_of_roles_tell_their_variables(files: Files) -> Iterator[Violation]:
    """roles/NAME/README.md has the tables of its argument_specs."""
    for path in select(files, ("roles/*/meta/argument_specs.yml",)):
        readme = f"{path.removesuffix('meta/argument_specs.yml')}README.md"
        if readme not in files:
            yield Violation(readme, 1, "there is none", "write one, then make role-docs")
        elif files[readme] != role_docs.told(files[readme], files[path]):
            yield Violation(readme, 1, "its variables are not those of meta/argument_specs.yml", "make role-docs")


def prose(markdown: str) -> Iterator[tuple[int, str]]:
    """The lines outside of code blocks, with their numbers."""
    code = False
    for number, line in enumerate(markdown.splitlines(), 1):
        if line.startswith("```"):
            code = not code
        elif not code:
            yield number, line


RULES: tuple[Callable[[Files], Iterator[Violation]], ...] = (
    nothing_hides_a_failure,
    nothing_is_piped_into_a_shell,
    downloads_stand_in_the_stack,
    no_path_of_one_machine,
    targets_need_python_39,
    targets_need_no_packages,
    modules_are_documented,
    data_and_schemas_belong_together,
    claims_have_evidence,
    evidence_is_told,
    readmes_of_roles_tell_their_variables,
)


def select(files: Files, patterns: Iterable[str]) -> list[str]:
    """Paths that match one of some patterns."""
    return [path for path in files if any(fnmatch(path, pattern) for pattern in patterns)]


def acts(path: str, text: str) -> bool:
    """A file that Ansible, Packer, a shell or a builder carries out."""
    kinds = ("*.yml", "*.yaml", "*.j2", "*.sh", "*.hcl", "*Dockerfile*", "*Makefile")
    return any(fnmatch(path, kind) for kind in kinds) or (text.startswith("#!") and not path.endswith(".py"))


def found(path: str, text: str, pattern: re.Pattern[str], what: str, fix: str) -> Iterator[Violation]:
    """Every match of a pattern."""
    for match in pattern.finditer(text):
        yield Violation(path, text.count("\n", 0, match.start()) + 1, what, fix)


def uncommented(text: str) -> Iterator[tuple[int, str]]:
    """Number and words of each line, without comments and lines that cite a source."""
    for number, line in enumerate(text.splitlines(), 1):
        if not _CITES.match(line):
            yield number, re.sub(r"(^|\s)#.*|\{#.*?#\}", "", line)


def strings(text: str) -> Iterator[tuple[int, str]]:
    """Line and text of each string of a Python file, without docstrings and a plugin's documentation."""
    tree = parsed(text)
    prose: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            prose.add(node.value)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("DOCUMENTATION", "EXAMPLES", "RETURN"):
            prose.add(node.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in prose:
            yield node.lineno, node.value


def imports(text: str) -> Iterator[tuple[int, str]]:
    """Line and name of each module that a Python file imports."""
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
            if node.module == MODULE_UTILS:
                yield from ((node.lineno, f"{MODULE_UTILS}.{alias.name}") for alias in node.names)


def parsed(text: str) -> ast.Module:
    """A Python file; an empty one where its syntax is wrong, which ruff reports."""
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Module([], [])


def project_files() -> dict[str, str]:
    """Our text files: tracked ones, and new ones that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files: dict[str, str] = {}
    for path in sorted(set(listed.split("\0")) - {"", *STATE_THE_RULES}):
        if not any(fnmatch(path, pattern) for pattern in NOT_OURS) and (ROOT / path).is_file():
            try:
                files[path] = (ROOT / path).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
    return files


def main() -> int:
    """Print every violation."""
    files = project_files()
    violations = [violation for rule in RULES for violation in rule(files)]
    for violation in violations:
        print(violation)
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main())
