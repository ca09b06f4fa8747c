"""A cache of jars from Maven: named sets of artifacts, resolved once and kept in a folder.

Put here how jars are fetched, checked and published for concurrent readers. Which jars Spark
needs belongs to the module that needs them. Imports no Spark.
"""

import errno
import hashlib
import json
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement

from fruit_assets.errors import PermanentError

_MANIFEST = "jars.json"
_MAVEN_SECONDS = 900


@dataclass(frozen=True)
class JarSet:
    """Artifacts that are resolved together, with what they depend on at run time.

    Attributes:
        name: names the folder in the cache and the set in messages.
        artifacts: `group:artifact:version`, each with its dependencies.
        excluded: `group:artifact` left out together with what only it brings in.
        excluded_groups: groups of which no jar is taken, because Spark brings its own.
    """

    name: str
    artifacts: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    excluded_groups: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Changes with every version and exclusion."""
        content = json.dumps([self.artifacts, self.excluded, self.excluded_groups])
        return f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def resolve_jars(jar_set: JarSet, cache: Path) -> list[Path]:
    """The jars of a set, from the cache or else from Maven.

    Safe with concurrent callers: a folder appears whole or not at all. A folder whose files do
    not match its manifest is built again.

    Args:
        jar_set: what to resolve.
        cache: folder for what can be rebuilt; the jars go below its `jars`.

    Raises:
        PermanentError: no intact copy is cached and Maven is absent or failed.
    """
    folder = cache / "jars" / jar_set.key
    return cached_jars(jar_set, cache) or _publish(_download(jar_set, folder.parent), folder)


def cached_jars(jar_set: JarSet, cache: Path) -> list[Path]:
    """The intact jars of a set that are already in the cache; empty when there are none."""
    return _intact_jars(cache / "jars" / jar_set.key)


def maven_command() -> str | None:
    """Path of `mvn`, or None where it is not installed."""
    return shutil.which("mvn")


def _intact_jars(folder: Path) -> list[Path]:
    """All files the manifest of `folder` lists, or nothing when one is missing or has another size."""
    try:
        sizes: dict[str, int] = json.loads((folder / _MANIFEST).read_text())
        intact = all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return []
    return [folder / name for name in sorted(sizes)] if intact else []


def _download(jar_set: JarSet, parent: Path) -> Path:
    """Download into a folder of our own beside the final one, so that a rename can publish it."""
    maven = maven_command()
    if maven is None:
        raise PermanentError(
            f"The jars of {jar_set.name!r} are not cached in {parent} and there is no 'mvn' to fetch them: "
            "install Maven (Debian: apt-get install maven), or copy that folder from a machine that has it."
        )
    building = parent / f".{jar_set.key}.{uuid.uuid4().hex}"
    building.mkdir(parents=True)
    try:
        _copy_dependencies(maven, jar_set, building)
        sizes = {jar.name: jar.stat().st_size for jar in building.glob("*.jar")}
        (building / _MANIFEST).write_text(json.dumps(sizes, indent=1, sort_keys=True))
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return building


def _copy_dependencies(maven: str, jar_set: JarSet, building: Path) -> None:
    pom = building / "pom.xml"
    ElementTree(_project(jar_set)).write(pom, encoding="utf-8", xml_declaration=True)
    command = [
        maven,
        "--batch-mode",
        "--quiet",
        "--strict-checksums",
        "--file",
        str(pom),
        "dependency:copy-dependencies",
    ]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={building}"]
    if jar_set.excluded_groups:
        command.append(f"-DexcludeGroupIds={','.join(jar_set.excluded_groups)}")
    code, output = _run(command)
    if code != 0 or not any(building.glob("*.jar")):
        tail = "\n".join(output.strip().splitlines()[-15:])
        raise PermanentError(
            f"Maven could not fetch the jars of {jar_set.name!r} ({', '.join(jar_set.artifacts)}): check that this "
            f"machine reaches its Maven repository (~/.m2/settings.xml) and run again. Output of Maven:\n{tail}"
        )


def _run(command: list[str]) -> tuple[int, str]:
    """Exit code and output of Maven, which has no limit of its own for a network that does not answer."""
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=_MAVEN_SECONDS
        )
    except subprocess.TimeoutExpired:
        return 1, f"nothing more in {_MAVEN_SECONDS} seconds"
    return result.returncode, result.stdout + result.stderr


def _project(jar_set: JarSet) -> Element:
    """A pom that depends on the artifacts of the set."""
    project = Element("project", xmlns="http://maven.apache.org/POM/4.0.0")
    for tag, text in (("modelVersion", "4.0.0"), ("groupId", "fruit_assets"), ("artifactId", jar_set.name)):
        SubElement(project, tag).text = text
    SubElement(project, "version").text = "1"
    dependencies = SubElement(project, "dependencies")
    for artifact in jar_set.artifacts:
        dependency = SubElement(dependencies, "dependency")
        for tag, text in zip(("groupId", "artifactId", "version"), artifact.split(":"), strict=True):
            SubElement(dependency, tag).text = text
        exclusions = SubElement(dependency, "exclusions")
        for excluded in jar_set.excluded:
            exclusion = SubElement(exclusions, "exclusion")
            for tag, text in zip(("groupId", "artifactId"), excluded.split(":"), strict=True):
                SubElement(exclusion, tag).text = text
    return project


def _publish(building: Path, folder: Path) -> list[Path]:
    """Move a finished folder to its final name; where another caller was quicker, use theirs."""
    try:
        while not _renamed(building, folder):
            if jars := _intact_jars(folder):
                return jars
            # Moved away rather than emptied: another process may have its jars open.
            aside = building.with_name(f".{folder.name}.{uuid.uuid4().hex}.broken")
            if _renamed(folder, aside):
                shutil.rmtree(aside, ignore_errors=True)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return _intact_jars(folder)


def _renamed(source: Path, target: Path) -> bool:
    """Rename a folder unless the target is there (or, lost to another process, the source is not)."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            return False
        raise
    return True
