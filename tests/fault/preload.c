/* preload.c - what fault tests load into the program before its own code runs: a gate that lets a
 * tracer attach first, and memory that runs out at a chosen moment. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The file that XFER_TEST_MEMORY names, as the test writes and reads it (tests/fault/memory.py). */
struct control {
    atomic_long countdown; /* allocations until the one that fails; not above 0: none */
    atomic_long failed;    /* how many have */
    atomic_long counted;   /* how many there were */
    long own_only;         /* only those that the program's own code asks for count */
    long for_good;         /* after the first, all fail */
};

static struct control *control;
static uintptr_t own_begin, own_end;

/* glibc's own, under the names that it has for such as us. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

#define EXPORT __attribute__((visibility("default")))

EXPORT void *malloc(size_t n);
EXPORT void *calloc(size_t n, size_t size);
EXPORT void *realloc(void *p, size_t n);

/* The program itself comes first. */
static int find_own_code(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size, (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
            continue;
        own_begin = info->dlpi_addr + p->p_vaddr;
        own_end = own_begin + p->p_memsz;
    }
    return 1;
}

static void map_control(const char *name)
{
    int fd = open(name, O_RDWR | O_CLOEXEC);
    void *p = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (fd < 0 || p == MAP_FAILED)
        _exit(99);
    close(fd);
    dl_iterate_phdr(find_own_code, NULL);
    control = p;
}

__attribute__((constructor)) static void begin(void)
{
    const char *memory = getenv("XFER_TEST_MEMORY");

    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    if (getenv("XFER_TEST_GATE"))
        raise(SIGSTOP);
    if (memory)
        map_control(memory);
}

static bool runs_out(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;

    if (!control || (control->own_only && (at < own_begin || at >= own_end)))
        return false;
    atomic_fetch_add(&control->counted, 1);
    bool fails = atomic_load(&control->countdown) > 0
                     ? atomic_fetch_sub(&control->countdown, 1) == 1
                     : control->for_good && atomic_load(&control->failed) > 0;
    if (fails) {
        atomic_fetch_add(&control->failed, 1);
        errno = ENOMEM;
    }
    return fails;
}

void *malloc(size_t n)
{
    return runs_out(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return runs_out(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return n && runs_out(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n);
}
