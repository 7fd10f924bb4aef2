# stand-in for a build of module gdrdrv @VERSION@: the facts of it that modinfo tells, as text. It needs what the real one needs: the
# driver's source, a script beside it, and the kernel's headers. By src/gdrdrv/Makefile, gdrdrv.c and gdrdrv.h of NVIDIA/gdrcopy
# v2.5.2: the version has two parts, and the description names the driver's flavour. The device's number is any.
set -eu
[ -x "$CONF_SCRIPT_DIR/test_gdrdrv_HAVE_PROC_OPS.sh" ]
[ -e "/lib/modules/$KVER/build/" ]
driver=${NVIDIA_SRC_DIR:-$(dirname "$(find /usr/src/nvidia-* -name nv-p2p.c -print -quit)")}
flavour=proprietary
if grep -r MODULE_LICENSE "$driver/" | grep -q GPL; then flavour=opensource; fi
cat >gdrdrv.ko <<END
version: $(echo @VERSION@ | cut -d . -f 1,2)
license: Dual MIT/GPL
description: GDRCopy kernel-mode driver built for $flavour NVIDIA driver
srcversion: 0123456789ABCDEF01234567
chrdev: 508
END
