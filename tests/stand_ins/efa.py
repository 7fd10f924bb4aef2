"""The stand-in for the EFA installer: the vendor's layout, packages by their real names, a script that installs them.

Layout, names and options are those of installer 1.49.0 as its package_list.txt and efa_installer.sh are quoted in
public, and of older ones: packages of an OS lie in DEBS/UBUNTU2404/x86_64 or RPMS/ALINUX2023/x86_64, the driver in
efa-driver/ and rdma-core in rdma-core/ below.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible_collections.awsome.distributed_training.tests.stand_ins import archive, deb, rpm
from ansible_collections.awsome.distributed_training.tests.stand_ins.package import RPM_SYSTEMS, Package, needs

FOLDERS = {
    "amazon2023": "RPMS/ALINUX2023",
    "debian12": "DEBS/DEBIAN12",
    "debian13": "DEBS/DEBIAN13",
    "ubuntu2204": "DEBS/UBUNTU2204",
    "ubuntu2404": "DEBS/UBUNTU2404",
}
"""The folder of an OS. Those of Debian follow from the older DEBIAN10 and DEBIAN11; the others were seen."""

DEBS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "aws_ofi_nccl": (("libnccl-ofi", "{}-1"),),
    "efa_driver": (("efa-driver/efa", "{}-1.amzn1"),),
    "efa_nv_peermem": (("efa-nv-peermem", "{}-1.amzn1"),),
    "libfabric": (("libfabric1-aws", "{}"), ("libfabric-aws-bin", "{}"), ("libfabric-aws-dev", "{}")),
    "rdma_core": tuple(
        (f"rdma-core/{name}", "{}-1")
        for name in ("ibverbs-providers", "libibverbs-dev", "libibverbs1", "librdmacm-dev", "librdmacm1", "rdma-core")
    ),
}
RPMS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "aws_ofi_nccl": (("libnccl-ofi", "{}-1.amzn2023"),),
    "efa_driver": (("efa-driver/efa", "{}-1.amzn2023"),),
    "efa_nv_peermem": (("efa-nv-peermem", "{}-1.amzn2023"),),
    "libfabric": (("libfabric-aws", "{}-1.amzn2023"), ("libfabric-aws-devel", "{}-1.amzn2023")),
    "rdma_core": tuple(
        (f"rdma-core/{name}", "{}-1.amzn2023")
        for name in (
            *("ibacm", "infiniband-diags", "libibumad", "libibverbs", "libibverbs-utils"),
            *("librdmacm", "librdmacm-utils", "python3-pyverbs", "rdma-core", "rdma-core-devel"),
        )
    ),
}
"""What a bundled component consists of: folder and name of each package, and the form of its version."""

WITHOUT = {("debian12", "aws_ofi_nccl")}
"""A system for which the installer lacks what it bundles for others: no release note names the plugin for Debian 12."""

_MPI = {"4": "openmpi40-aws", "5": "openmpi50-aws"}

SCRIPT = r"""#!/bin/sh
# stand-in for the EFA installer: it installs packages that hold nothing that works
set -eu

usage() {
    cat <<END
usage: efa_installer.sh [options]    (stand-in)
  -y, --yes              ask nothing
  -k, --skip-kmod        leave out the kernel module
  -m, --minimal          kernel module and rdma-core alone: no libfabric, MPI or plugin
  --skip-rdma-core       leave out rdma-core
  --skip-mpi             leave out Open MPI
  -u, --uninstall        remove what was installed
  -n, --no-verify  -l, --skip-limit-conf  -g, --enable-gdr  -d, --debug-packages  --mpi=NAME  --disable-ngc
  --check-signatures     accepted, without a meaning here
END
}

fail() {
    echo "Error: $1" >&2
    exit 1
}

yes=0 kmod=1 minimal=0 rdma=1 mpi=1 uninstall=0 debug=no
for word; do
    case $word in
    --yes) yes=1 ;;
    --skip-kmod) kmod=0 ;;
    --minimal) minimal=1 ;;
    --skip-rdma-core) rdma=0 ;;
    --skip-mpi) mpi=0 ;;
    --uninstall) uninstall=1 ;;
    --debug-packages) debug=yes ;;
    --no-verify | --skip-limit-conf | --enable-gdr | --disable-ngc | --check-signatures | --mpi=*) ;;
    --* | [!-]*) usage >&2; exit 1 ;;
    -?*)
        letters=${word#-}
        while [ -n "$letters" ]; do
            letter=${letters%"${letters#?}"}
            letters=${letters#?}
            case $letter in
            y) yes=1 ;;
            k) kmod=0 ;;
            m) minimal=1 ;;
            u) uninstall=1 ;;
            d) debug=yes ;;
            n | l | g) ;;
            *) usage >&2; exit 1 ;;
            esac
        done
        ;;
    esac
done

[ -e env.sh ] || fail "change into the installer's folder first"
. ./env.sh
[ $yes -eq 1 ] || fail "a stand-in asks nothing: call it with -y"
# DPKG_ROOT is dpkg's own variable
root=${DPKG_ROOT:-}
list=$root/opt/amazon/efa_installed_packages

. "$root/etc/os-release"
case $ID$VERSION_ID in
amzn2023*) folder=RPMS/ALINUX2023 ;;
debian12*) folder=DEBS/DEBIAN12 ;;
debian13*) folder=DEBS/DEBIAN13 ;;
ubuntu22.04) folder=DEBS/UBUNTU2204 ;;
ubuntu24.04) folder=DEBS/UBUNTU2404 ;;
*) fail "unsupported operating system $ID $VERSION_ID" ;;
esac
folder=$folder/$(uname -m)
[ -d "$folder" ] || fail "package directory $folder does not exist"

if [ $uninstall -eq 1 ]; then
    [ -e "$list" ] || fail "EFA is not installed"
    for name in $(grep -v '^#' "$list"); do
        case $folder in
        DEBS/*) dpkg --purge --force-depends "${name%%_*}" ;;
        RPMS/*) rpm --erase --nodeps "$name" ;;
        esac
    done
    rm "$list"
    exit 0
fi

echo "= stand-in for the EFA installer, version $EFA_INSTALLER_VERSION ="
files= names=
for file in $(grep "^$folder/" package_list.txt); do
    name=${file##*/}
    name=${name%.*}
    case $file in
    */efa-driver/*) [ $kmod -eq 1 ] || continue ;;
    */rdma-core/*) [ $rdma -eq 1 ] || continue ;;
    esac
    case $name in
    *openmpi*) [ $mpi -eq 1 ] || continue ;;
    esac
    if [ $minimal -eq 1 ]; then
        case $name in
        *libfabric* | *openmpi* | *libnccl-ofi* | *efa-profile*)
            echo "skipping $name because of minimal installation"
            continue
            ;;
        esac
    fi
    files="$files $file"
    names="$names $name"
done
case $folder in
DEBS/*) dpkg --install $files ;;
RPMS/*) rpm --upgrade --replacepkgs --oldpackage $files ;;
esac

mkdir -p "$root/opt/amazon"
cat >"$list" <<END
# EFA installer version: $EFA_INSTALLER_VERSION
# Debug packages installed: $debug
# Packages installed:
${names# }
END
echo "EFA installation complete (stand-in)."
"""


def packages(bundles: Mapping[str, str], system: str, arch: str) -> dict[str, Package]:
    """Path in the tarball and package, of all that a version of the installer bundles for a system.

    efa-config and efa-profile, which the real one brings too, have versions of their own that no stack names.

    :param bundles: bundled component and its version.
    """
    kind = "rpm" if system in RPM_SYSTEMS else "deb"
    table = RPMS if kind == "rpm" else DEBS
    stated: dict[str, tuple[str, str]] = {}
    for component, version in bundles.items():
        for path, form in () if (system, component) in WITHOUT else table.get(component, ()):
            # 1.38.0 states its plugin with a revision: 1.13.2-1
            stated[path.rpartition("/")[2]] = (path.rpartition("/")[0], form.format(version.removesuffix("-1")))
    if bundles.get("open_mpi", "")[:1] in _MPI:
        version = bundles["open_mpi"]
        stated[_MPI[version[0]]] = ("", f"{version}-1" if kind == "rpm" or version[0] == "4" else version)
    versions = {name: version for name, (_, version) in stated.items()}
    held = {}
    for name, (folder, version) in sorted(stated.items()):
        package = Package(name, version, arch, needs(name, kind, versions))
        file = rpm.file_name(package) if kind == "rpm" else deb.file_name(package)
        held["/".join(part for part in (FOLDERS[system], arch, folder, file) if part)] = package
    return held


def tarball(version: str, held: Mapping[str, Package], rpms: Mapping[Package, bytes]) -> bytes:
    """The installer of a version.

    :param held: path and package, from :func:`packages`.
    :param rpms: the .rpm packages among them, built.
    """
    files = {path: rpms[package] if path.endswith(".rpm") else deb.deb(package) for path, package in held.items()}
    content: dict[str, str | bytes] = {
        "README": f"This is a stand-in for the EFA installer {version}, made by the tests of this collection.\n",
        "efa_installer.sh": SCRIPT,
        "env.sh": f"# stand-in\nEFA_INSTALLER_VERSION={version}\n",
        "package_list.txt": _lines(held),
        **files,
    }
    return archive.tar({f"aws-efa-installer/{path}": data for path, data in content.items()}, "gz")


def _lines(words: Iterable[str]) -> str:
    return "".join(f"{word}\n" for word in sorted(words))
