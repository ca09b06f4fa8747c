#!/usr/bin/env bash
# Bootstrap action: installs the Python environment that Spark's driver and executors run in.
# EMR runs it on every node, as user hadoop, before Spark itself is installed. Safe to run twice.
#
#   install_runtime.sh --source s3://bucket/staging/bootstrap/<digest> [options]
#
#   --source URI          folder (s3:// or local) with the requirements file and wheels/<architecture>/
#   --requirements NAME   file in that folder (requirements-node.txt)
#   --index               take the packages from pip's index instead of the wheels; hashes still hold
#   --prefix DIR          where the environment goes (/opt/fruit_assets)
#   --python COMMAND      interpreter to build it with (python3.11)
set -Eeuo pipefail

readonly FORMAT=1
source_uri='' requirements=requirements-node.txt use_index=no prefix=/opt/fruit_assets python=python3.11

log() { printf '[install_runtime %3ds] %s\n' "$SECONDS" "$*"; }
die() { printf '[install_runtime %3ds] FAILED: %s\n' "$SECONDS" "$*" >&2; exit 1; }
trap 'log "FAILED in line $LINENO: $BASH_COMMAND" >&2' ERR

while (($#)); do
  case "$1" in
    --index) use_index=yes; shift; continue ;;
    --source | --requirements | --prefix | --python) (($# > 1)) || die "$1 needs a value." ;;
    *) die "Unknown option '$1'. Known: --source --requirements --index --prefix --python." ;;
  esac
  case "$1" in
    --source) source_uri="${2%/}" ;;
    --requirements) requirements="$2" ;;
    --prefix) prefix="${2%/}" ;;
    --python) python="$2" ;;
  esac
  shift 2
done
[[ -n $source_uri ]] || die "--source is missing: name the folder that 'fruit-assets deploy' uploaded."
[[ $prefix == /*/* ]] || die "--prefix '$prefix' is too close to the root: use a folder such as /opt/fruit_assets."
[[ $requirements != */* ]] || die "--requirements '$requirements' is a path: give a file name inside --source."

case "$(uname -m)" in
  x86_64) arch=x86_64 ;;
  aarch64 | arm64) arch=aarch64 ;;
  *) die "No wheels for architecture $(uname -m): use x86_64 or arm64 (Graviton) instances." ;;
esac

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# fetch NAME TARGET: one file, or with a trailing slash one folder, from the source.
fetch() {
  case "$source_uri/$1" in
    s3://*/) aws s3 cp --recursive --only-show-errors "$source_uri/$1" "$2" ;;
    s3://*) aws s3 cp --only-show-errors "$source_uri/$1" "$2" ;;
    */) mkdir -p "$2" && cp -R "$source_uri/$1." "$2" ;;
    *) cp "$source_uri/$1" "$2" ;;
  esac
}

log "fetching $source_uri/$requirements"
fetch "$requirements" "$work/requirements.txt" \
  || die "Cannot read $source_uri/$requirements. Run 'fruit-assets deploy', and check the node role's S3 access."
digest="$(sha256sum "$work/requirements.txt" | cut -d' ' -f1)"

# The system's python3 is too old for PySpark on Amazon Linux 2023, so the version is always named.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  command -v dnf >/dev/null || die "$python with venv and ensurepip is not installed, and there is no dnf to install it."
  log "installing $python with dnf"
  sudo dnf install -y -q "$python" "$python-pip"
fi
version="$("$python" -c 'import platform; print(platform.python_version())')"

stamp="$prefix/runtime.json"
wanted="$("$python" - "$FORMAT" "$version" "$digest" "$arch" <<'PY'
import json, sys
form, python, digest, arch = sys.argv[1:]
print(json.dumps({"format": int(form), "python": python, "requirements_sha256": digest, "arch": arch}))
PY
)"

is_current() {
  [[ -f $stamp && -x $prefix/bin/python ]] && "$python" - "$stamp" "$wanted" <<'PY'
import json, sys
stamp, wanted = json.load(open(sys.argv[1])), json.loads(sys.argv[2])
sys.exit(0 if all(stamp.get(key) == value for key, value in wanted.items()) else 1)
PY
}

if is_current; then
  log "up to date: $prefix has Python $version on $arch, requirements ${digest:0:12}; nothing to do"
  exit 0
fi

if [[ $use_index == no ]]; then
  log "fetching $source_uri/wheels/$arch/"
  fetch "wheels/$arch/" "$work/wheels" || die "Cannot read $source_uri/wheels/$arch/."
  count="$(find "$work/wheels" -name '*.whl' 2>/dev/null | wc -l)"
  ((count > 0)) || die "No wheels in $source_uri/wheels/$arch/: run 'fruit-assets deploy', or pass --index."
  log "fetched $count wheels, $(du -sm "$work/wheels" | cut -f1) MB"
fi

# Only an environment, or nothing, is replaced: a mistyped prefix must not cost anybody their files.
if [[ -e $prefix && -n $(ls -A "$prefix") && ! -f $prefix/pyvenv.cfg ]]; then
  die "$prefix exists and is not a Python environment: choose another --prefix."
fi
if ! { mkdir -p "$prefix" && [[ -w $prefix ]]; } 2>/dev/null; then
  sudo install -d -o "$(id -u)" -g "$(id -g)" -m 755 "$prefix"
fi
find "$prefix" -mindepth 1 -delete
log "creating $prefix with Python $version"
"$python" -m venv "$prefix"

pip=("$prefix/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-compile)
pip+=(--no-deps --require-hashes --only-binary :all: -r "$work/requirements.txt")
if [[ $use_index == no ]]; then
  log "installing from the wheels, each checked against its hash"
  "${pip[@]}" --isolated --no-index --find-links "$work/wheels" || die "pip refused the wheels; nothing was stamped."
else
  log "installing from the index, each file checked against its hash"
  "${pip[@]}" || die "pip could not install from the index; nothing was stamped."
fi

# All cores at once: pip alone compiles one file after the other, which is half of the time it takes.
log "compiling"
"$prefix/bin/python" -m compileall -q -j 0 "$prefix/lib" >/dev/null || log "some files do not compile; they are not ours"

log "checking"
"$prefix/bin/python" -I - "$stamp.new" "$wanted" <<'PY'
import importlib.util, json, sys, time
from importlib.metadata import distributions

import boto3, numpy, openvino, pandas, PIL.Image, pyarrow.parquet  # a wheel for another platform fails here

for name in ("pyspark", "py4j"):
    if importlib.util.find_spec(name):
        sys.exit(f"{name} is in the environment and would shadow EMR's own Spark: remove it from the requirements.")
stamp = json.loads(sys.argv[2])
stamp["versions"] = dict(sorted((dist.name.lower(), dist.version) for dist in distributions()))
stamp["installed_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
with open(sys.argv[1], "w") as file:
    json.dump(stamp, file, indent=1)
PY
chmod -R a+rX "$prefix"
mv "$stamp.new" "$stamp"
log "done: $prefix, Python $version, $arch, requirements ${digest:0:12}"
