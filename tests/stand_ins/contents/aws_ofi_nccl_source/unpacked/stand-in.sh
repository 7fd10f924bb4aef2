# stand-in for a build of aws-ofi-nccl @VERSION@: a plugin that holds the line of the real one (src/nccl_ofi_net.cpp of v1.21.1)
# and the name of the library that it needs
set -eu
. ./stand-in.settings
case $1 in
all)
    {
        echo "stand-in for the plugin of aws-ofi-nccl, which needs libfabric.so.1"
        echo "Initializing aws-ofi-nccl @VERSION@"
    } >libnccl-net-ofi.so
    ;;
install)
    mkdir -p "$prefix/lib"
    cp libnccl-net-ofi.so "$prefix/lib/"
    cp libnccl-net-ofi.so "$prefix/lib/libnccl-net.so"
    ;;
esac
