#include "config.h"

#include "base/digest.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

struct digest {
    EVP_MD *md; /* fetched once: a fetch for each file takes a lock */
    EVP_MD_CTX *running, *copy;
    bool broken; /* out of memory since the last reset */
};

/* False when memory ran out while OpenSSL set itself up: it would not survive being used then. */
static bool is_usable(void)
{
    return OSSL_LIB_CTX_get0_global_default() != NULL;
}

struct digest *digest_new(void)
{
    struct digest *d = is_usable() ? calloc(1, sizeof *d) : NULL;

    if (!d)
        return NULL;
    d->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    d->running = EVP_MD_CTX_new();
    d->copy = EVP_MD_CTX_new();
    if (!d->md || !d->running || !d->copy || EVP_DigestInit_ex(d->running, d->md, NULL) != 1) {
        digest_free(d);
        return NULL;
    }
    return d;
}

void digest_free(struct digest *d)
{
    if (!d)
        return;
    EVP_MD_CTX_free(d->copy);
    EVP_MD_CTX_free(d->running);
    EVP_MD_free(d->md);
    free(d);
}

void digest_reset(struct digest *d)
{
    d->broken = EVP_DigestInit_ex(d->running, d->md, NULL) != 1;
}

void digest_update(struct digest *d, const void *p, size_t n)
{
    if (n > 0 && !d->broken)
        d->broken = EVP_DigestUpdate(d->running, p, n) != 1;
}

bool digest_peek(const struct digest *d, uint8_t out[DIGEST_LEN])
{
    bool ok = !d->broken && EVP_MD_CTX_copy_ex(d->copy, d->running) == 1 &&
              EVP_DigestFinal_ex(d->copy, out, NULL) == 1;

    if (!ok)
        memset(out, 0, DIGEST_LEN);
    return ok;
}

void digest_of(const void *p, size_t n, uint8_t out[DIGEST_LEN])
{
    if (!is_usable() || EVP_Digest(n > 0 ? p : "", n, out, NULL, EVP_sha256(), NULL) != 1)
        memset(out, 0, DIGEST_LEN);
}

void digest_thread_done(void)
{
    OPENSSL_thread_stop();
}

void digest_hex(const uint8_t d[DIGEST_LEN], char out[DIGEST_HEX + 1])
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < DIGEST_LEN; i++) {
        out[2 * i] = hex[d[i] >> 4];
        out[2 * i + 1] = hex[d[i] & 15];
    }
    out[DIGEST_HEX] = '\0';
}
