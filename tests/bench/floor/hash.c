/* hash.c - what SHA-256 alone costs: so many bytes from a buffer that stays in the cache.
 * usage: hash BYTES */
#include <err.h>
#include <openssl/evp.h>
#include <stdlib.h>

#define CHUNK (128 * 1024)

int main(int argc, char **argv)
{
    unsigned char *buf = calloc(1, CHUNK), sum[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *c = EVP_MD_CTX_new();

    if (argc != 2 || !buf || !c || EVP_DigestInit_ex(c, EVP_sha256(), NULL) != 1)
        errx(2, "usage: hash BYTES");
    for (unsigned long long left = strtoull(argv[1], NULL, 10); left;) {
        size_t n = left < CHUNK ? (size_t)left : CHUNK;
        EVP_DigestUpdate(c, buf, n);
        left -= n;
    }
    EVP_DigestFinal_ex(c, sum, NULL);
    EVP_MD_CTX_free(c);
    free(buf);
    return 0;
}
