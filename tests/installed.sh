#!/bin/sh
# make installcheck: a program built by the installed xfer.pc, the installed command, and the
# AppArmor profile that was asked for.
# usage: installed.sh COMPILER DESTDIR LIBDIR BINDIR VERSION APPARMORDIR|no auto|given
set -eu
compiler=$1 root=$2 libdir=$3 bindir=$4 version=$5 apparmordir=$6 apparmor_how=$7

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/use.c" <<'END'
#include <stdio.h>
#include <string.h>
#include <xfer.h>

int main(void)
{
    struct xfer_copy_opts o = {.net = XFER_NET_DEFAULTS};
    printf("%s\n", xfer_version());
    return o.net.retries && strlen(xfer_strerror(-XFER_ENOTFOUND)) ? 0 : 1;
}
END

PKG_CONFIG_PATH=$root$libdir/pkgconfig
export PKG_CONFIG_PATH
if [ -n "$root" ]; then
    PKG_CONFIG_SYSROOT_DIR=$root
    export PKG_CONFIG_SYSROOT_DIR
fi
# --static: the library may have been installed without its shared form.
flags=$(pkg-config --cflags --libs --static xfer)
$compiler "$dir/use.c" -o "$dir/use" $flags
said=$(LD_LIBRARY_PATH=$root$libdir "$dir/use")
[ "$said" = "$version" ] || { echo "libxfer says $said, not $version" >&2; exit 1; }

said=$("$root$bindir/xfer" --version)
case $said in
*"$version"*) ;;
*) echo "xfer --version says: $said" >&2; exit 1 ;;
esac

if [ "$apparmordir" != no ] && [ "$apparmor_how" = given ]; then
    grep -qF "profile xfer \"$bindir/xfer\" " "$root$apparmordir/xfer" ||
        { echo "no AppArmor profile for $bindir/xfer in $apparmordir" >&2; exit 1; }
fi
