# Flags of the build. All are tried on the compiler first, and collected in XFER_CPPFLAGS,
# XFER_CFLAGS, XFER_LDFLAGS (everything) and XFER_PROGRAM_LDFLAGS (programs only), so that CFLAGS and
# LDFLAGS stay the user's. tests/rules/hardening.py reads the finished program for their effect.

# Warnings of all code here; -Wformat=2 includes -Wformat-security.
AC_DEFUN([XFER_WARNINGS], [
  AX_APPEND_COMPILE_FLAGS([-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes dnl
    -Wformat=2 -Wpointer-arith -Wundef -Wvla], [XFER_CFLAGS], [-Werror])
  AS_IF([test "$enable_werror" = yes], [AX_APPEND_COMPILE_FLAGS([-Werror], [XFER_CFLAGS])])
])

# A position-independent program with what the compiler offers against memory errors. Sanitizers
# bring their own checks, which FORTIFY would hide.
AC_DEFUN([XFER_HARDENING], [
  xfer_hardening=yes
  AX_APPEND_COMPILE_FLAGS([-fvisibility=hidden -fPIE -fstack-protector-strong dnl
    -fstack-clash-protection -fcf-protection=full -mbranch-protection=standard], [XFER_CFLAGS], [-Werror])
  AX_APPEND_LINK_FLAGS([-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed],
    [XFER_LDFLAGS])
  AX_APPEND_LINK_FLAGS([-pie], [XFER_PROGRAM_LDFLAGS], [-fPIE])
  AS_IF([test "$enable_sanitize" != no], [xfer_hardening="yes, without FORTIFY"],
    [AX_CHECK_COMPILE_FLAG([-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3],
      [XFER_CPPFLAGS="$XFER_CPPFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3"],
      [AX_CHECK_COMPILE_FLAG([-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2],
        [XFER_CPPFLAGS="$XFER_CPPFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"],
        [xfer_hardening="yes, without FORTIFY (it needs optimisation)"],
        [-Werror], [AC_LANG_PROGRAM([[#include <string.h>]])])],
      [-Werror], [AC_LANG_PROGRAM([[#include <string.h>]])])])
])

# --enable-sanitize=LIST, with flags that make reports exact unless the user has chosen some.
AC_DEFUN([XFER_ARG_SANITIZE], [
  AC_ARG_ENABLE([sanitize],
    [AS_HELP_STRING([--enable-sanitize=LIST],
      [build with sanitizers: "address,undefined" (or one of them) or "thread"])],
    [], [enable_sanitize=no])
  AS_CASE([$enable_sanitize],
    [no], [],
    [address|undefined|thread|address,undefined|undefined,address],
      [test ${CFLAGS+y} || CFLAGS="-g -O1"],
    [AC_MSG_ERROR([--enable-sanitize=$enable_sanitize: say address,undefined or thread])])
])

AC_DEFUN([XFER_SANITIZE], [
  AS_IF([test "$enable_sanitize" != no], [
    xfer_sanitize="-fsanitize=$enable_sanitize -fno-sanitize-recover=all -fno-omit-frame-pointer"
    AX_CHECK_LINK_FLAG([$xfer_sanitize], [],
      [AC_MSG_ERROR([$CC cannot link with -fsanitize=$enable_sanitize])])
    XFER_CFLAGS="$XFER_CFLAGS $xfer_sanitize"
    XFER_LDFLAGS="$XFER_LDFLAGS $xfer_sanitize"
    # gcc: beside a shared libasan, a shared libubsan ignores log_path, and its reports get lost.
    AX_CHECK_LINK_FLAG([-static-libubsan], [XFER_LDFLAGS="$XFER_LDFLAGS -static-libubsan"], [],
      [$xfer_sanitize -Werror])
  ])
  AC_SUBST([enable_sanitize])
])

# --enable-fuzz builds the targets of tests/fuzz on libFuzzer. Without it they are linked to a main
# that replays the corpus, which make check runs either way.
AC_DEFUN([XFER_ARG_FUZZ], [
  AC_ARG_ENABLE([fuzz],
    [AS_HELP_STRING([--enable-fuzz], [build fuzzers on libFuzzer (CC=clang)])],
    [], [enable_fuzz=no])
])

AC_DEFUN([XFER_FUZZ], [
  xfer_fuzz="replay of the corpus"
  AS_IF([test "$enable_fuzz" = yes], [
    AX_CHECK_COMPILE_FLAG([-fsanitize=fuzzer-no-link],
      [XFER_CFLAGS="$XFER_CFLAGS -fsanitize=fuzzer-no-link"
       XFER_LDFLAGS="$XFER_LDFLAGS -fsanitize=fuzzer-no-link"
       xfer_fuzz="libFuzzer and replay of the corpus"],
      [AC_MSG_ERROR([--enable-fuzz: $CC has no libFuzzer; configure with CC=clang])], [-Werror])
  ])
  AM_CONDITIONAL([ENABLE_FUZZ], [test "$enable_fuzz" = yes])
])

# --with-apparmor-profile. AppArmor reads /etc/apparmor.d whatever the prefix is; one that knows user
# namespaces has abi/4.0 there. Unasked, only what is installed for the whole system is told to it.
AC_DEFUN([XFER_APPARMOR], [
  AC_ARG_WITH([apparmor-profile],
    [AS_HELP_STRING([--with-apparmor-profile=DIR],
      [install an AppArmor profile that lets xfer make user namespaces, in DIR (/etc/apparmor.d by
       default; default: if that knows them and the prefix is the system's)])],
    [], [with_apparmor_profile=auto])
  apparmor_how=given
  AS_CASE([$with_apparmor_profile],
    [auto], [apparmor_how=auto
      apparmordir=no
      AS_CASE([$prefix], [NONE|/usr|/usr/local|/opt|/opt/*],
        [AS_IF([test -e /etc/apparmor.d/abi/4.0], [apparmordir=/etc/apparmor.d])])],
    [yes], [apparmordir=/etc/apparmor.d],
    [no|/*], [apparmordir=$with_apparmor_profile],
    [AC_MSG_ERROR([--with-apparmor-profile=$with_apparmor_profile: an absolute path is needed])])
  AS_IF([test "$apparmordir" = no], [xfer_apparmor="no profile"],
    [xfer_apparmor="a profile in $apparmordir"])
  AM_CONDITIONAL([WITH_APPARMOR_PROFILE], [test "$apparmordir" != no])
  AC_SUBST([apparmordir])
  AC_SUBST([apparmor_how])
])
