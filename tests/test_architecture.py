"""The three ideas of the house: imports point one way, predicting is light, the pipeline file is the map."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from .conftest import ROOT

SOURCE = ROOT / "src/conflict_claims"
LAYERS = [
    {"errors"},
    {"labels", "markdown", "text"},
    {"config", "metrics"},
    {"model_folder", "objective", "bootstrap"},
    {"plots", "figures", "fast_tfidf", "sections", "engines"},
    {"corpus", "encoders", "runtime"},
    {
        "tfidf",
        "transformer",
        "tracking",
        "batch",
        "distillation",
        "behaviour",
        "slices",
        "compare",
        "tables",
        "pages",
        "explain",
    },
    {"evidence", "champion", "drift", "blocks"},
    {"train", "evaluate", "report"},
    {"audit", "curve"},
    {"mlflow_model"},
    {"serve"},
    {"cli"},
]
RANK = {name: k for k, layer in enumerate(LAYERS) for name in layer}
HEAVY = {"torch", "transformers", "mlflow", "dvc", "datasets", "pandas", "pydantic", "matplotlib", "ray"}


def module_of(path: Path) -> str:
    part = path.relative_to(SOURCE).parts[0]
    return part.removesuffix(".py")


def imports(path: Path, at_top_only: bool = False):
    """Full names of what a file imports; imports for type checking alone do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in tree.body if at_top_only else ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


FILES = [p for p in SOURCE.rglob("*.py") if p != SOURCE / "__init__.py"]


def test_every_module_has_its_place():
    assert {module_of(p) for p in FILES} == set(RANK)


def test_imports_point_one_way():
    for path in FILES:
        for name in imports(path):
            parts = name.split(".")
            if parts[0] != "conflict_claims" or len(parts) < 2 or parts[1] == "__version__":
                continue
            here, there = module_of(path), parts[1] if parts[1] in RANK else "errors"
            assert RANK[there] < RANK[here] or here == there, f"{path} imports {name}"


def test_heavy_libraries_are_imported_in_one_place_each():
    places = {"torch": {"transformer"}, "transformers": {"transformer"}, "mlflow": {"tracking", "mlflow_model"}}
    places["ray"] = {"batch"}
    for library, allowed in places.items():
        found = {module_of(p) for p in FILES if any(n.split(".")[0] == library for n in imports(p))}
        assert found <= allowed, library


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded_by("import conflict_claims") & (HEAVY | {"numpy", "sklearn", "onnxruntime"})


GONE = """
import sys
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Gone())
import conflict_claims
print(conflict_claims.predict("Prices rose.", {model!r})[0].text)
"""


def test_predicting_works_where_nothing_that_training_needs_can_be_imported(models):
    """scikit-learn itself looks for torch, so the libraries are taken away instead of looked for."""
    for kind in ("tfidf", "transformer"):
        code = GONE.format(names=HEAVY, model=str(models / kind))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "Prices rose.", done.stderr[-2000:]


def test_help_loads_nothing_heavy():
    code = "import sys, conflict_claims.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.splitlines()[-1].split()) & (HEAVY | {"numpy", "sklearn", "rich"})


def test_nothing_happens_on_import(tmp_path):
    names = [".".join(("conflict_claims", *p.relative_to(SOURCE).with_suffix("").parts)) for p in FILES]
    names = [n.removesuffix(".__init__") for n in names if not n.endswith("mlflow_model")]  # that one is a script
    before = "import os, logging; e = dict(os.environ); h = list(logging.root.handlers)"
    after = "assert dict(os.environ) == e and logging.root.handlers == h"
    code = f"{before}; import importlib; [importlib.import_module(n) for n in {names}]; {after}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_pickle_is_read_or_written():
    for path in FILES:
        found = {n.split(".")[0] for n in imports(path)}
        assert not found & {"pickle", "joblib", "cloudpickle", "dill"}, path
        calls = {ast.unparse(n.func) for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)}
        assert not calls & {"torch.save", "torch.load"}, path


def test_base_dependencies_are_light_and_the_lock_holds_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {d.split(">")[0].split("=")[0].lower() for d in project["dependencies"]}
    assert not names & HEAVY
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line) for line in lines)
    lock = dict(
        line.lower().split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    assert lock["torch"] == "2.13.0"
    wanted = names | {re.split(r"[\[>=]", d)[0].lower() for e in project["optional-dependencies"].values() for d in e}
    assert not wanted - {n.replace("_", "-") for n in lock}


# the pipeline file tells the truth


def stages():
    """(name, command, dependencies, parameters, outputs) of every stage, loops written out."""
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items():
        items = stage.get("foreach", {None: None})
        pairs = items.items() if isinstance(items, dict) else ((i, i) for i in items)
        for key, item in pairs:
            text = yaml.safe_dump(stage.get("do", stage))
            text = text.replace("${key}", str(key)).replace("${item}", str(item))
            for field, value in item.items() if isinstance(item, dict) else ():
                text = text.replace(f"${{item.{field}}}", value)
            body = yaml.safe_load(text)
            outs = [o if isinstance(o, str) else next(iter(o)) for k in ("outs", "metrics") for o in body.get(k, [])]
            yield name if key is None else f"{name}@{key}", body["cmd"], body["deps"], body.get("params", []), outs


def test_every_dependency_exists_or_is_made_by_another_stage():
    made = [o for _, _, _, _, outs in stages() for o in outs]
    for name, _, deps, _, _ in stages():
        for dep in deps:
            assert (ROOT / dep).exists() or any(dep == o or dep.startswith(f"{o}/") for o in made), f"{name}: {dep}"


def section(key):
    """What params.yaml has under a dotted key; KeyError if nothing."""
    value = yaml.safe_load((ROOT / "params.yaml").read_text())
    for part in key.split("."):
        value = value[part]
    return value


def strings(value):
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


def test_every_parameter_exists_and_every_section_is_used():
    used = {key for *_, keys, _ in stages() for key in keys if section(key)}
    assert used == {"labels", "corpus", "splits", "train.tfidf", "train.transformer"}  # tracking changes no result


def test_every_stage_is_one_command_that_the_command_line_has():
    import shlex

    from conflict_claims.cli import _parser

    for name, command, deps, keys, outs in stages():
        program, *arguments = shlex.split(command)
        assert program == "conflict-claims", name
        parsed = vars(_parser().parse_args(arguments))
        listed = [v for values in parsed.values() if isinstance(values, list) for v in values]
        named = {str(v) for v in [*parsed.values(), *listed] if isinstance(v, Path)}
        default = {f"models/{parsed['kind']}"} if "kind" in parsed else set()
        named |= {value for key in keys for value in strings(section(key))}
        for out in outs:
            assert out in named | default, f"{name} does not write {out}"
        for dep in deps:
            if (
                not dep.startswith("src/") and dep != "experiments/corpus/check.json"
            ):  # read by nobody: it orders stages
                assert any(dep == n or dep.startswith(f"{n}/") for n in named), f"{name} does not read {dep}"


def imported_by(module):
    for path in FILES:
        if module_of(path) == module:
            parts = (n.split(".") for n in imports(path) if n.startswith("conflict_claims."))
            yield from (p[1] for p in parts if p[1] in RANK)


def test_every_stage_depends_on_the_code_that_changes_its_result():
    for name, command, deps, _, _ in stages():
        verb = command.split()[1]
        code = {Path(d).relative_to("src/conflict_claims").parts[0] for d in deps if d.startswith("src/")}
        code = {part.removesuffix(".py") for part in code}
        module = {"splits": "corpus", "check-behaviour": "behaviour"}.get(verb, verb)
        assert module in code, name
        if module == "corpus":
            continue
        kinds = {"tfidf", "transformer", "encoders"}  # train imports both kinds, a stage runs one
        without_effect = {"config", "corpus", "errors", "tracking", "champion", "model_folder", "plots"} | kinds
        needed = set(code)
        while more := {m for n in needed for m in imported_by(n)} - needed - without_effect:
            needed |= more
        assert needed == code, name
