"""Finds calls that could run what a file says: unsafe loaders, evaluators, shells. Works on source, runs nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

#: Modules whose very import is a finding: they load code with data, or read formats that reach out of their file.
MODULES = frozenset({
    "pickle", "cPickle", "_pickle", "pickletools", "dill", "cloudpickle", "joblib", "shelve", "marshal", "xml", "lxml",
    "code", "codeop", "runpy", "pty",
})  # fmt: skip
#: Functions and objects, by their full name, that may not be referred to in any way.
NAMES = frozenset({
    "torch.load", "torch.serialization.load", "torch.hub.load", "torch.hub.load_state_dict_from_url", "torch.jit.load",
    "torch.package", "torch.export.load", "torch.utils.cpp_extension.load", "torch.utils.cpp_extension.load_inline",
    "torch.distributed.all_gather_object", "torch.distributed.gather_object", "torch.distributed.broadcast_object_list",
    "torch.distributed.scatter_object_list", "torch.distributed.recv_object_list",
    "numpy.load", "numpy.loads", "numpy.fromregex", "numpy.lib.format.read_array",
    "pandas.read_pickle", "pandas.read_xml", "pandas.eval",
    "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.unsafe_load_all", "yaml.full_load_all",
    "builtins.eval", "builtins.exec", "builtins.compile", "builtins.__import__",
    "eval", "exec", "compile", "__import__", "__builtins__",
    "os.system", "os.popen", "os.execl", "os.execv", "os.execvp", "os.spawnl", "os.spawnv",
    "subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell",
    "tempfile.mktemp", "shutil.unpack_archive",
})  # fmt: skip
#: Modules whose attributes may not be chosen while the program runs: the rules above could not see which.
OPAQUE = frozenset({"torch", "numpy", "pandas", "os", "subprocess", "builtins", "yaml", "tempfile"})
#: Modules with which a method called `extract` writes members of an archive.
_ARCHIVES = frozenset({"tarfile", "zipfile"})


@dataclass(frozen=True, order=True)
class Finding:
    line: int
    what: str


def findings(source: str) -> list[Finding]:
    """Everything unsafe in a module's source, in the order of its lines."""
    tree = ast.parse(source)
    return sorted(set(_Search(_imported(tree)).in_tree(tree)))


def imports(source: str) -> set[str]:
    """Full names of what a module imports, such as `os.path` or `torch.load`."""
    return set(_imported(ast.parse(source)).values())


def _imported(tree: ast.AST) -> dict[str, str]:
    """What each imported name in a module stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
                names.setdefault(alias.name, alias.name)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module or ''}.{alias.name}"
    return names


class _Search:
    def __init__(self, imported: dict[str, str]) -> None:
        self._imported = imported

    def in_tree(self, tree: ast.AST) -> Iterator[Finding]:
        called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield from self._import(node)
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                yield from self._reference(node, called.get(id(node)))
            elif isinstance(node, ast.Call):
                yield from self._call(node)
                yield from self._computed(node, called.get(id(node)))
            elif isinstance(node, ast.Constant) and node.value == "trust_remote_code":
                yield Finding(node.lineno, "trust_remote_code")

    def _import(self, node: ast.Import | ast.ImportFrom) -> Iterator[Finding]:
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            modules = [node.module or ""]
            for alias in node.names:
                yield from self._named(f"{node.module}.{alias.name}", node.lineno, None, imported=True)
                if alias.name == "*" and (node.module or "").partition(".")[0] in OPAQUE:
                    yield Finding(node.lineno, f"everything of {node.module}")
        yield from (Finding(node.lineno, m) for m in modules if m.partition(".")[0] in MODULES)

    def _reference(self, node: ast.Name | ast.Attribute, call: ast.Call | None) -> Iterator[Finding]:
        if full := self._full(node):
            yield from self._named(full, node.lineno, call)

    def _named(
        self, full: str, line: int, call: ast.Call | None, imported: bool = False
    ) -> Iterator[Finding]:
        # What is brought in under another name is judged where it is used, with its arguments.
        if imported and full in _JUDGED:
            return
        if full in NAMES and not (call and full in _JUDGED and _JUDGED[full](call)):
            yield Finding(line, full)

    def _full(self, node: ast.expr) -> str | None:
        """`t.hub.load` as `torch.hub.load` where t is torch."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        return ".".join([self._imported.get(node.id, node.id), *reversed(parts)])

    def _call(self, node: ast.Call) -> Iterator[Finding]:
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        full = self._full(node.func) or ""
        if "trust_remote_code" in keywords:
            yield Finding(node.lineno, "trust_remote_code")
        if "allow_pickle" in keywords and not _is(keywords["allow_pickle"], False):
            yield Finding(node.lineno, "allow_pickle")
        if "weights_only" in keywords and not _is(keywords["weights_only"], True):
            yield Finding(node.lineno, "weights_only")
        if "shell" in keywords and not _is(keywords["shell"], False):
            yield Finding(node.lineno, "shell")
        if full.startswith("subprocess.") and None in keywords:
            yield Finding(node.lineno, "shell")
        if self._unpacks(node.func) and not _is(keywords.get("filter"), "data"):
            yield Finding(node.lineno, "extractall")

    def _unpacks(self, function: ast.expr) -> bool:
        if not isinstance(function, ast.Attribute):
            return False
        archives = _ARCHIVES & {name.partition(".")[0] for name in self._imported.values()}
        return function.attr == "extractall" or (function.attr == "extract" and bool(archives))

    def _computed(self, node: ast.Call, call: ast.Call | None) -> Iterator[Finding]:
        """getattr(module, name) and import_module(name), which name things by strings."""
        full = self._full(node.func) or ""
        if full in ("getattr", "operator.attrgetter") and node.args:
            owner = self._full(node.args[0]) or ""
            name = node.args[1] if len(node.args) > 1 else None
            if isinstance(name, ast.Constant):
                yield from self._named(f"{owner}.{name.value}", node.lineno, call)
            elif owner.partition(".")[0] in OPAQUE:
                yield Finding(node.lineno, f"getattr({owner})")
        if full in ("importlib.import_module", "importlib.util.find_spec") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and str(name.value).partition(".")[0] in MODULES:
                yield Finding(node.lineno, str(name.value))


def _is(node: ast.expr | None, value: object) -> bool:
    return (
        isinstance(node, ast.Constant)
        and node.value is value
        or (isinstance(value, str) and isinstance(node, ast.Constant) and node.value == value)
    )


def _without_pickle(call: ast.Call) -> bool:
    """numpy.load(…, allow_pickle=False), said out loud."""
    return any(k.arg == "allow_pickle" and _is(k.value, False) for k in call.keywords)


def _safe_yaml(call: ast.Call) -> bool:
    loaders = [k.value for k in call.keywords if k.arg == "Loader"] or call.args[1:2]
    return any(
        isinstance(loader, ast.Attribute) and loader.attr in ("SafeLoader", "CSafeLoader")
        for loader in loaders
    )


#: What is allowed with the right arguments.
_JUDGED = {"numpy.load": _without_pickle, "yaml.load": _safe_yaml, "yaml.load_all": _safe_yaml}
