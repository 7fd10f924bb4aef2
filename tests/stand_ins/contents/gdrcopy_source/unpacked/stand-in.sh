# stand-in for "make install" of GDRCopy @VERSION@: a library and tools that are text. Names and folders: Makefile,
# src/Makefile and tests/Makefile of NVIDIA/gdrcopy v2.5.2; the library's file has two parts of the version.
set -eu
"$CUDA/bin/nvcc" --version >/dev/null
series=$(echo @VERSION@ | cut -d . -f 1,2)
mkdir -p "$prefix/lib" "$prefix/include" "$prefix/bin"
echo "stand-in for libgdrapi of GDRCopy @VERSION@" >"$prefix/lib/libgdrapi.so.$series"
ln -sf "libgdrapi.so.$series" "$prefix/lib/libgdrapi.so.2"
ln -sf libgdrapi.so.2 "$prefix/lib/libgdrapi.so"
echo "/* stand-in for a header of GDRCopy @VERSION@ */" >"$prefix/include/gdrapi.h"
for tool in copybw copylat apiperf sanity pplat; do
    printf '#!/bin/sh\necho "gdrcopy_%s: a stand-in copies nothing" >&2\nexit 1\n' "$tool" >"$prefix/bin/gdrcopy_$tool"
    chmod 755 "$prefix/bin/gdrcopy_$tool"
done
