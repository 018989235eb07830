# The manual, and the texts that travel with the source.

dist_man_MANS = \
	docs/xfer.1 \
	docs/libxfer.3
EXTRA_DIST += docs
