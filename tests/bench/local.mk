# The bench is no part of `make check`: tests/bench/run compares with rsync, with TFTP programs and
# with floors.

EXTRA_DIST += \
	tests/bench/run \
	tests/bench/big.py \
	tests/bench/compare.py \
	tests/bench/foreign.py \
	tests/bench/link.py \
	tests/bench/listing.py \
	tests/bench/many.py \
	tests/bench/measure.py \
	tests/bench/meter.c \
	tests/bench/peers.py \
	tests/bench/tree.py \
	tests/bench/udp.py \
	tests/bench/udpmany.py \
	tests/bench/floor/copy.c \
	tests/bench/floor/hash.c \
	tests/bench/floor/pingpong.c \
	tests/bench/floor/window.c
