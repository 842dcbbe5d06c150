#!/usr/bin/env python3
"""sbom.py BUILD VERSION: what the programs in BUILD are made of, as CycloneDX
1.5 JSON: each program with its hash, each shared library that the dynamic
loader gives it with the package and version that it comes from here, and who
needs whom, as the files' own NEEDED entries say it. Nothing is taken from a
list that somebody has to keep: what is not linked is not in it. The same
programs on the same host give the same bytes."""
import hashlib
import json
import os
import re
import subprocess
import sys
import uuid


def run(*argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE,
                          text=True).stdout


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def needed(path):
    return re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-dW", path))


def loaded(path):
    """soname -> path, as the dynamic loader finds them."""
    return dict(re.findall(r"^\s*(\S+) => (/\S+)", run("ldd", path), re.M))


def candidates(path):
    """The names that dpkg may know a file by, since /lib is /usr/lib."""
    names = [path, os.path.realpath(path)]
    return names + [n.replace("/usr/lib", "/lib", 1) for n in names]


def packages(paths):
    """path -> (name, version, source, architecture) of the package it is of."""
    wanted = sorted({n for path in paths for n in candidates(path)})
    # Names that nobody knows are no failure: each file has several.
    told = subprocess.run(["dpkg-query", "-S"] + wanted, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    owners = {}
    for line in told.stdout.splitlines():
        owner, _, name = line.partition(": ")
        owners[name] = owner.split(",")[0]
    found = {}
    for path in paths:
        owner = next((owners[n] for n in candidates(path) if n in owners),
                     None)
        if not owner:
            sys.exit(f"sbom: {path} is of no package")
        found[path] = tuple(run(
            "dpkg-query", "-W", "-f", "${Package}\t${Version}\t"
            "${source:Package}\t${Architecture}", owner).split("\t"))
    return found


def distribution():
    with open("/etc/os-release", encoding="utf-8") as file:
        fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', file.read(), re.M))
    return fields.get("ID", "linux"), fields.get("VERSION_ID", "")


def library(path, soname, package):
    name, version, source, arch = package
    distro, release = distribution()
    quoted = version.replace("+", "%2B").replace(":", "%3A").replace("~", "%7E")
    return {
        "type": "library",
        "bom-ref": f"lib:{soname}",
        "name": name,
        "version": version,
        "hashes": [{"alg": "SHA-256", "content": sha256(path)}],
        "purl": f"pkg:deb/{distro}/{name}@{quoted}?arch={arch}"
                + (f"&distro={distro}-{release}" if release else ""),
        "properties": [{"name": "sgbridge:soname", "value": soname},
                       {"name": "sgbridge:source-package", "value": source}],
    }


def program(path, version):
    name = os.path.basename(path)
    return {
        "type": "library" if name.endswith(".so") else "application",
        "bom-ref": f"sgbridge:{name}",
        "name": name,
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "hashes": [{"alg": "SHA-256", "content": sha256(path)}],
        "purl": f"pkg:generic/sgbridge/{name}@{version}",
    }


def player(build):
    """What `make player` fetched and the packages then have."""
    path = os.path.join(build, "player", "asciinema-player.min.js")
    if not os.path.isfile(path):
        return []
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "player", "fetch.sh"),
              encoding="utf-8") as file:
        version = re.search(r"^version=(\S+)", file.read(), re.M).group(1)
    return [{
        "type": "library",
        "bom-ref": "player:asciinema-player",
        "name": "asciinema-player",
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "hashes": [{"alg": "SHA-256", "content": sha256(path)}],
        "purl": f"pkg:npm/asciinema-player@{version}",
    }]


def programs(build):
    found = []
    for name in sorted(os.listdir(build)):
        path = os.path.join(build, name)
        if not name.startswith(("sgbridge", "pam_sgbridge")) or \
                not os.path.isfile(path) or not os.access(path, os.X_OK):
            continue
        found.append(path)
    return found


def document(build, version):
    components, depends, paths = [], {}, {}
    for path in programs(build):
        components.append(program(path, version))
        paths.update(loaded(path))
        depends[components[-1]["bom-ref"]] = needed(path)
    owners = packages(sorted(set(paths.values())))
    for soname, path in sorted(paths.items()):
        components.append(library(path, soname, owners[path]))
        depends[f"lib:{soname}"] = needed(path)
    pages = player(build)
    for component in pages:
        components.append(component)
        depends[component["bom-ref"]] = []
        depends["sgbridge:sgbridge-audit"].append(component["bom-ref"])
    root = f"pkg:generic/sgbridge@{version}"
    ours = [c["bom-ref"] for c in components
            if c["bom-ref"].startswith("sgbridge:")]
    # The loader itself is in no list of ldd with an arrow.
    graph = [{"ref": root, "dependsOn": ours}] + [
        {"ref": ref, "dependsOn": sorted(
            [f"lib:{name}" for name in names if name in paths]
            + [name for name in names if name.startswith("player:")])}
        for ref, names in depends.items()]
    body = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "bom-ref": root,
                          "name": "sgbridge", "version": version,
                          "licenses": [{"license": {"id": "Apache-2.0"}}],
                          "purl": root},
        },
        "components": components,
        "dependencies": graph,
    }
    if "SOURCE_DATE_EPOCH" in os.environ:
        import datetime
        body["metadata"]["timestamp"] = datetime.datetime.fromtimestamp(
            int(os.environ["SOURCE_DATE_EPOCH"]),
            datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    # A name of these contents, so that the same contents have the same name.
    text = json.dumps(body, sort_keys=True)
    body["serialNumber"] = "urn:uuid:" + str(uuid.uuid5(uuid.NAMESPACE_URL,
                                                        text))
    return body


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(json.dumps(document(sys.argv[1], sys.argv[2]), indent=1,
                     sort_keys=True))


main()
