# stand-in for a build of NCCL @VERSION@: a library that holds the string of the real one (src/init.cc, VERSION_STRING) and
# says for which GPUs it would have code; nothing in it works. Targets, variables, folders: Makefile and src/Makefile of
# NVIDIA/nccl 5067397c.
set -eu
case $1 in
src.build)
    cuda=$("$CUDA_HOME/bin/nvcc" --version | sed -n 's/.* release \([0-9.]*\),.*/\1/p')
    mkdir -p build/lib build/include
    {
        echo "stand-in for libnccl"
        echo "NCCL version @VERSION@+cuda$cuda"
        for word in ${NVCC_GENCODE--gencode=arch=compute_90,code=sm_90}; do echo "code: ${word##*code=}"; done
    } >build/lib/libnccl.so.@VERSION@
    ln -sf libnccl.so.@VERSION@ build/lib/libnccl.so.2
    ln -sf libnccl.so.2 build/lib/libnccl.so
    echo "/* stand-in for nccl.h of NCCL @VERSION@ */" >build/include/nccl.h
    ;;
src.install)
    mkdir -p "$PREFIX/lib" "$PREFIX/include"
    cp -P build/lib/lib* "$PREFIX/lib/"
    cp -r build/include/* "$PREFIX/include/"
    ;;
*)
    echo "make: *** No rule to make target '$1'." >&2
    exit 2
    ;;
esac
