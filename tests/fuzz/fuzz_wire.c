/* Lines of XFER/1 through the decoder, and what it accepts through the encoder and back. */
#include "config.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether two decoded lines mean the same. decode clears all before the path, padding too. */
static int same(const struct wire_msg *a, const struct wire_msg *b)
{
    return memcmp(a, b, offsetof(struct wire_msg, path)) == 0 &&
           memcmp(a->path, b->path, a->path_len + 1) == 0;
}

/* What decode accepts, encode can write, and the result means the same. */
static void round_trip(const char *line, size_t n)
{
    static struct wire_msg first, second;
    static char once[WIRE_LINE_MAX], twice[WIRE_LINE_MAX];
    int err = wire_decode(line, n, &first);
    if ((err == -XFER_ENAME || err == -XFER_ETOOLONG) && (first.path_len || first.path[0]))
        abort();
    if (err || first.verb == WIRE_UNKNOWN)
        return;
    long len = wire_encode(&first, once, sizeof(once));
    if (len <= 0 || once[len - 1] != '\n')
        abort();
    if (wire_decode(once, (size_t)len - 1, &second) || !same(&first, &second))
        abort();
    if (wire_encode(&second, twice, sizeof(twice)) != len || memcmp(once, twice, (size_t)len))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    while (size) {
        const char *end = memchr(p, '\n', size);
        size_t n = end ? (size_t)(end - p) : size;
        /* A copy of its own, so that a read past its end is seen. */
        char *line = malloc(n ? n : 1);
        if (!line)
            return 0;
        memcpy(line, p, n);
        round_trip(line, n);
        free(line);
        p += n + (end ? 1 : 0);
        size -= n + (end ? 1 : 0);
    }
    return 0;
}
