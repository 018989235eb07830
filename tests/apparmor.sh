#!/bin/sh
# The AppArmor profile: what it says, where make install puts it, and that nothing of it stays.
n=0 bad=0
profile=$builddir/xfer.apparmor
script=$srcdir/build-aux/apparmor-profile

check() { # name command...
    name=$1
    shift
    n=$((n + 1))
    if "$@" >"$TMPDIR/said" 2>&1; then
        echo "ok $n - $name"
    else
        echo "not ok $n - $name"
        sed 's/^/# /' "$TMPDIR/said"
        bad=1
    fi
}

program_of() { sed -n 's/^profile xfer "\(.*\)" flags=(unconfined) {$/\1/p' "$profile"; }
names_the_program() { case $(program_of) in /*/xfer) ;; *) cat "$profile"; return 1 ;; esac; }
has() { grep -qx "$1" "$profile"; }
same() { cmp "$profile" "$1" && [ "$(stat -c %a "$1")" = 644 ]; }
gone() { ! [ -e "$1" ]; }
profile() { sh "$script" "$1" "$profile" "$2" "$3" "$4"; }
fails() { ! "$@"; }

# A parser of AppArmor 3 knows neither abi/4.0 nor userns; the rest it does.
syntax() {
    PATH=$PATH:/usr/sbin:/sbin
    apparmor_parser -Q -K "$profile" && return
    [ -e /etc/apparmor.d/abi/4.0 ] && return 1
    sed -e '/^abi /d' -e '/^  userns,$/d' "$profile" >"$TMPDIR/old"
    apparmor_parser -Q -K "$TMPDIR/old"
}

check "it is of the installed program" names_the_program
check "it grants user namespaces" has '  userns,'
check "in the language that knows them" has 'abi <abi/4.0>,'
if PATH=$PATH:/usr/sbin:/sbin command -v apparmor_parser >/dev/null; then
    check "apparmor_parser takes it" syntax
else
    n=$((n + 1))
    echo "ok $n - apparmor_parser takes it # SKIP no apparmor_parser here"
fi

stage=$TMPDIR/stage
for how in auto given; do
    check "$how: it goes below DESTDIR" profile install "$stage" /etc/apparmor.d $how
    check "$how: as it is, for all to read" same "$stage/etc/apparmor.d/xfer"
    check "$how: it is removed" profile remove "$stage" /etc/apparmor.d $how
    check "$how: and is gone" gone "$stage/etc/apparmor.d/xfer"
    check "$how: removing what is not there is no error" profile remove "$stage" /etc/apparmor.d $how
done
check "a directory of one's own" profile install "" "$TMPDIR/own" given
check "has it" same "$TMPDIR/own/xfer"
: >"$TMPDIR/file"
check "found by configure, but not writable: no error" profile install "$TMPDIR/file" /x auto
cp "$TMPDIR/said" "$TMPDIR/told"
check "but told what to do" grep -q "make install-apparmor" "$TMPDIR/told"
check "asked for, and not writable: an error" fails profile install "$TMPDIR/file" /x given
echo "1..$n"
exit $bad
