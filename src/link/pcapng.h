/* pcapng.h - blocks of a pcapng file (draft-ietf-opsawg-pcapng), encoded into the caller's memory:
 * raw IPv4, nanoseconds, named interfaces, comments on packets. Pure.
 *
 * A file is one pcapng_section, a pcapng_interface for each method, and packets. Each function
 * returns the bytes it wrote, a multiple of 4; 0 when cap is too small. Names and comments are cut
 * at PCAPNG_TEXT_MAX bytes.
 */
#ifndef XFER_LINK_PCAPNG_H
#define XFER_LINK_PCAPNG_H

#include <stddef.h>
#include <stdint.h>

#define PCAPNG_TEXT_MAX 200
#define PCAPNG_BLOCK_MAX(captured) ((captured) + 3 + 2 * PCAPNG_TEXT_MAX + 64)

struct pcapng_packet {
    uint32_t interface; /* from 0, in the order in which they were written */
    uint64_t time;      /* ns since 1970 */
    const void *bytes;
    uint32_t captured, length; /* bytes at hand, and on the wire */
    const char *comment;       /* or NULL */
};

/* application: who writes it. */
size_t pcapng_section(uint8_t *out, size_t cap, const char *application);
/* snap: the most bytes of a packet that are captured. */
size_t pcapng_interface(uint8_t *out, size_t cap, const char *name, uint32_t snap);
size_t pcapng_packet(uint8_t *out, size_t cap, const struct pcapng_packet *p);

#endif
