# stand-in for a build of nccl-tests @VERSION@: programs that hold the texts of real ones (version, libraries) and say for which GPUs
# they would have code; none runs. Names, folder and variables: src/Makefile and src/common.mk of NVIDIA/nccl-tests v2.19.6.
set -eu
"$CUDA_HOME/bin/nvcc" --version >/dev/null
[ -e "$NCCL_HOME/include/nccl.h" ]
suffix=${NAME_SUFFIX-}
mkdir -p build
for name in all_reduce all_gather broadcast reduce_scatter reduce alltoall alltoallv scatter gather sendrecv hypercube; do
    {
        echo "stand-in for ${name}_perf$suffix, which needs libnccl.so.2"
        printf '# nccl-tests version %%s nccl-headers=%%d nccl-library=%%d\n\000@VERSION@\000\n'
        for word in ${NVCC_GENCODE--gencode=arch=compute_90,code=sm_90}; do echo "code: ${word##*code=}"; done
        if [ "$MPI" = 1 ]; then
            [ -e "$MPI_HOME/include/mpi.h" ]
            echo "needs libmpi.so.40 by way of ${NVCC_APPEND_FLAGS#*-rpath=}"
        fi
    } >"build/${name}_perf$suffix"
    chmod 755 "build/${name}_perf$suffix"
done
