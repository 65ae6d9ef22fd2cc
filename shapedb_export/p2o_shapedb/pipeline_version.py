"""Tell by a digest of the source whether a model would be processed differently."""

import ast
import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path

_PACKAGE = Path(__file__).parent
_LIBRARIES = ("libigl", "numpy", "pillow")


@cache
def pipeline_version(module: str = "process") -> str:
    """Return a digest of a module of this package and of all it imports from the package.

    Comments and docstrings do not count. A digest instead of a number, because a number is
    forgotten: the cache would then hand out what the old code made.
    """
    sha = hashlib.sha256()
    for path in _imported(_source(module.split("."))):
        sha.update(path.relative_to(_PACKAGE).as_posix().encode())
        sha.update(code_only(path.read_text("utf-8")).encode())
    for library in _LIBRARIES:
        sha.update(f"{library} {metadata.version(library)}".encode())
    return sha.hexdigest()


def code_only(source: str) -> str:
    """Return a program's syntax tree as text, without docstrings, comments and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [statement for statement in node.body if not _is_text(statement)]
    return ast.dump(tree)


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _imported(start: Path | None) -> list[Path]:
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path is None or path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for name in _names(node):
                package, *parts = name.split(".")
                if package == _PACKAGE.name and parts:
                    waiting.append(_source(parts))
    return sorted(found)


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom) and node.module:
        # `from package import module` and `from module import name` look the same.
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return []


def _source(parts: list[str]) -> Path | None:
    """Return the file of a module of this package, or None if the name is no module's."""
    base = _PACKAGE.joinpath(*parts)
    choices = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in choices if path.is_file()), None)
