/* units.h - sizes, rates and times, read and written as people do. */
#ifndef XFER_BASE_UNITS_H
#define XFER_BASE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "1048576", "64K", "1.5M", "2G": binary multiples as in curl, suffix of either case. False when
 * malformed, negative or over 2^63-1. */
bool units_parse_size(const char *s, uint64_t *bytes);
/* As a size in bytes a second ("500K", "2M"), or in bits: "100mbit", "1gbit", "800kbit" (decimal).
 * Zero is refused. */
bool units_parse_rate(const char *s, uint64_t *bytes_per_second);
/* Seconds: "30", "0.5", "200ms", "2m", "1h". */
bool units_parse_seconds(const char *s, double *seconds);

/* "0 B", "12 B", "4.1 kB", "96.1 MB", "4.0 GB": decimal units, three digits. Returns out. */
char *units_size(uint64_t bytes, char *out, size_t cap);
/* The same of a rate: "107 MB/s"; "-" when seconds is 0. */
char *units_rate(uint64_t bytes, double seconds, char *out, size_t cap);
/* "0.9 s", "15.0 s", "3 min 05 s", "2 h 14 min". */
char *units_time(double seconds, char *out, size_t cap);

#endif
