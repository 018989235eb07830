/* Main of a fuzz target without libFuzzer: every file of the corpus once, TAP on standard output.
 * usage: replay_NAME [DIR]; DIR is tests/fuzz/corpus/NAME of $srcdir when it is not given. */
#include "config.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int is_input(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

/* Whether the file could be read; the target itself fails by abort. */
static int replay_file(const char *dir, const char *name)
{
    char path[4096];
    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
        return 0;
    FILE *f = fopen(path, "rb");
    if (!f)
        return 0;
    uint8_t *data = malloc(INPUT_MAX);
    size_t n = data ? fread(data, 1, INPUT_MAX, f) : 0;
    int good = data && !ferror(f);
    fclose(f);
    /* Again in memory of its very size: a sanitizer sees a read past the end. */
    uint8_t *exact = good ? malloc(n ? n : 1) : NULL;
    if (exact) {
        memcpy(exact, data, n);
        LLVMFuzzerTestOneInput(exact, n);
    }
    free(exact);
    free(data);
    return good;
}

int main(int argc, char **argv)
{
    char dir[4096];
    const char *name = strstr(argv[0], "replay_"), *srcdir = getenv("srcdir");
    snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".",
             name ? name + strlen("replay_") : "");
    const char *corpus = argc > 1 ? argv[1] : dir;
    struct dirent **inputs = NULL;
    int n = scandir(corpus, &inputs, is_input, alphasort);
    if (n <= 0) {
        printf("1..1\nnot ok 1 - no input in %s\n", corpus);
        return 1;
    }
    printf("1..%d\n", n);
    for (int i = 0; i < n; i++) {
        fflush(stdout); /* what came before an abort stays visible */
        int good = replay_file(corpus, inputs[i]->d_name);
        printf("%sok %d - %s\n", good ? "" : "not ", i + 1, inputs[i]->d_name);
        free(inputs[i]);
    }
    free(inputs);
    return 0;
}
