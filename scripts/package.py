"""Builds what is deployed: ``python -m scripts.package --stage aws``. Prints where template and package are.

Three parts, each kept until its inputs change: the runtime dependencies (installed from the hashes in ``requirements.txt``),
the template (``chalice package`` merged with ``infra/template.json``), and the zip, whose bytes depend on its contents only.
"""

import argparse
import compileall
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode

from scripts import packs

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("aws", "local")

IN_THE_RUNTIME = ("boto3", "botocore", "s3transfer", "dateutil", "jmespath", "urllib3", "six")
"""Packages that the Lambda runtime brings (and the emulator's environment has): three quarters of a package."""

CARRIED = ("scripts/verify_archive.py", "scripts/auditors/audit.py", "scripts/auditors/audit.go")
"""Programs that every export of the archive carries, at their places below the package's root; none of them runs there."""

_NEVER_READ = ("phonenumbers/geodata/", "phonenumbers/carrierdata/", "pycparser/", "cffi/")
"""Place names and carriers of numbers, and what builds C extensions: a third of a package."""

_PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_LEAVE = re.compile(
    r"(^|/)(__pycache__|tests?|bin)(/|$)|\.(pyi|pyx|pxd|c|h)$|\.dist-info/(RECORD|INSTALLER|REQUESTED|licenses/)"
)


@dataclass(frozen=True)
class Package:
    """What was built: the template, the zip, and the digest of everything that they were built from."""

    template: Path
    archive: Path
    digest: str
    built: bool


def package(stage: str, *, build: Path = ROOT / ".local/build", with_sdk: bool = False) -> Package:
    """Return the package of a stage, built anew only when an input changed.

    ``with_sdk`` keeps the AWS SDK in the zip (16 MB more) for who wants exactly the locked version of it. Raises
    ``subprocess.CalledProcessError`` when a tool fails; its output went to this process's.
    """
    build.mkdir(parents=True, exist_ok=True)
    with (build / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _package(stage, build, with_sdk=with_sdk)


def _package(stage: str, build: Path, *, with_sdk: bool) -> Package:
    digest = inputs_digest(stage, with_sdk=with_sdk)
    place = build / stage
    made = Package(place / "sam.json", place / "deployment.zip", digest, built=False)
    marker = place / "inputs.sha256"
    if marker.exists() and marker.read_text() == digest and made.template.exists() and made.archive.exists():
        return made
    shutil.rmtree(place, ignore_errors=True)
    libraries = _libraries(stage, build, with_sdk=with_sdk)
    staged, compiled = build / f"{stage}.staged", build / f"{stage}.compiled"
    _stage(staged)
    _template(stage, staged, place)
    members = {**_tree(staged, of=("app.py", "chalicelib", *CARRIED)), **_runtime_of_chalice(made.archive)}
    shutil.copyfile(libraries, made.archive)
    _add(made.archive, _with_bytecode(members, compiled))
    for rest in (staged, compiled, place / "chalice"):
        shutil.rmtree(rest, ignore_errors=True)
    marker.write_text(digest)
    return Package(made.template, made.archive, digest, built=True)


def inputs_digest(stage: str, *, with_sdk: bool = False) -> str:
    """Return the SHA-256 (hex) over everything that the package of a stage is made from."""
    seen = hashlib.sha256(f"{stage} {with_sdk} {sys.version_info[:2]}".encode())
    for path in _sources():
        seen.update(f"\0{path.relative_to(ROOT)}\0".encode())
        seen.update(hashlib.sha256(path.read_bytes()).digest())
    return seen.hexdigest()


def _sources() -> list[Path]:
    files = [ROOT / "app.py", ROOT / "requirements.txt", ROOT / "infra/template.json", Path(__file__)]
    files += [ROOT / carried for carried in CARRIED]
    files += [path for path in (ROOT / "chalicelib").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    files += (ROOT / ".chalice").glob("*.json")
    return sorted(files)


def _stage(staged: Path) -> None:
    """Copy what is packaged to a folder of its own, without caches and without requirements (they are added below)."""
    shutil.rmtree(staged, ignore_errors=True)
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "chalicelib", staged / "chalicelib", ignore=ignore)
    shutil.copytree(ROOT / ".chalice", staged / ".chalice", ignore=shutil.ignore_patterns("deployments", "deployed"))
    shutil.copy(ROOT / "app.py", staged / "app.py")
    for carried in CARRIED:
        (staged / carried).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / carried, staged / carried)
    (staged / "requirements.txt").write_text("")


def _template(stage: str, staged: Path, place: Path) -> None:
    chalice = Path(sys.executable).with_name("chalice")
    merge = ROOT / "infra/template.json"
    subprocess.run(
        [chalice, "package", "--stage", stage, "--merge-template", merge, place],
        cwd=staged,
        check=True,
        stdout=subprocess.DEVNULL,
        # Chalice asks for a region although nothing in the template depends on it; the template's own is AWS::Region.
        env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    template = json.loads((place / "sam.json").read_text())
    template["Description"] = "Forbear: compliance-first back end for outside collection of auto loans"
    (place / "sam.json").write_text(json.dumps(template, indent=1, sort_keys=True) + "\n")


# Dependencies


def dependencies(stage: str, build: Path) -> Path:
    """Return a folder with the runtime dependencies of a stage, installed once for each content of ``requirements.txt``."""
    wanted = (ROOT / "requirements.txt").read_text()
    key = hashlib.sha256(f"{stage} {sys.version_info[:2]} {wanted}".encode()).hexdigest()[:16]
    place = build / f"dependencies-{key}"
    if place.exists():
        return place
    build.mkdir(parents=True, exist_ok=True)
    fresh, listed = build / f"{place.name}.new", build / f"{place.name}.txt"
    shutil.rmtree(fresh, ignore_errors=True)
    listed.write_text(wanted)
    command = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:", "--no-compile", "--target", str(fresh), "-r", str(listed)]
    if stage == "aws":
        # What is installed must run on the function's machine, not on this one.
        command += ["--python-version", "3.11", "--implementation", "cp"]
        command += [word for platform in _PLATFORMS for word in ("--platform", platform)]
    subprocess.run(command, check=True)
    listed.unlink()
    fresh.rename(place)
    return place


def _libraries(stage: str, build: Path, *, with_sdk: bool) -> Path:
    """Return a zip with the dependencies and their byte code, made once."""
    folder = dependencies(stage, build)
    own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    target = folder.with_name(f"{folder.name}-{own}{'-sdk' if with_sdk else ''}.zip")
    if not target.exists():
        members = {name: path for name, path in _tree(folder).items() if with_sdk or not _in_runtime(name)}
        fresh, work = target.with_suffix(".new"), build / f"{stage}.libraries"
        fresh.unlink(missing_ok=True)
        _add(fresh, _with_bytecode(members, work))
        shutil.rmtree(work)
        fresh.rename(target)
    return target


def _in_runtime(name: str) -> bool:
    top = name.split("/", 1)[0].lower()
    stem = re.split(r"[-.]", top, maxsplit=1)[0]
    return stem in IN_THE_RUNTIME or stem == "python_dateutil"


def _runtime_of_chalice(archive: Path) -> dict[str, Path]:
    """Return the files of the framework that run in Lambda, as its own package had them."""
    place = archive.parent / "chalice"
    with zipfile.ZipFile(archive) as zipped:
        names = [name for name in zipped.namelist() if name.startswith("chalice/")]
        zipped.extractall(place, names)
    archive.unlink()
    return {name: place / name for name in names}


def _tree(folder: Path, *, of: Sequence[str] = ()) -> dict[str, Path]:
    tops = [folder / top for top in of] if of else [folder]
    files = (path for top in tops for path in ([top] if top.is_file() else top.rglob("*")) if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: path for name, path in named.items() if not _LEAVE.search(name) and not name.startswith(_NEVER_READ)}


# The zip


def _with_bytecode(members: dict[str, Path], work: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every member, and beside each module its byte code: a cold start then takes less than half the time.

    The byte code is marked as unchecked, because a package cannot change; its path is the one in the function.
    """
    shutil.rmtree(work, ignore_errors=True)
    for name, path in members.items():
        target = work / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    compileall.compile_dir(
        work, quiet=2, stripdir=str(work), prependdir="/var/task", invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
    )
    for path in sorted(work.rglob("*")):
        if path.is_file():
            yield path.relative_to(work).as_posix(), path.read_bytes()


def _add(target: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Add the members to a zip, each with the same date and mode everywhere."""
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED, compresslevel=6) as zipped:
        for name, content in members:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            zipped.writestr(info, content)


def main() -> None:
    """Build the package of a stage and print where it is."""
    options = argparse.ArgumentParser(prog="python -m scripts.package", description=__doc__)
    options.add_argument("--stage", choices=STAGES, default="aws")
    options.add_argument("--with-sdk", action="store_true", help="keep the AWS SDK in the zip")
    known = options.parse_args()
    if known.stage == "aws" and (unshipped := packs.Past().lacks(packs.compiled())):
        print(
            f"Not kept for replays yet: {', '.join(unshipped)}. Before this package decides anything for real, run\n"
            "python -m scripts.packs --ship and commit chalicelib/rulepacks/past.",
            file=sys.stderr,
        )
    made = package(known.stage, with_sdk=known.with_sdk)
    size = made.archive.stat().st_size / 1e6
    print(f"{'Built' if made.built else 'Unchanged:'} {made.archive.relative_to(ROOT)} ({size:.1f} MB)")
    print(f"Template: {made.template.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
