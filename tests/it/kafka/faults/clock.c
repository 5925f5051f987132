/* A wall clock that can be set, for one process: loaded before libc (LD_PRELOAD), it adds the seconds that stand in the file named by
 * PRELOADED_CLOCK to CLOCK_REALTIME.
 *
 * Waits on condition variables until some wall-clock time ask glibc from the inside, see the right time, and so take as long as
 * they should. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static int (*real)(clockid_t, struct timespec *);
static const volatile int64_t *seconds;

__attribute__((constructor)) static void open_clock(void) {
    *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("PRELOADED_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *place = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (place != MAP_FAILED)
        seconds = place;
}

int clock_gettime(clockid_t id, struct timespec *time) {
    if (!real)
        open_clock();
    int outcome = real(id, time);
    if (outcome == 0 && id == CLOCK_REALTIME && seconds)
        time->tv_sec += *seconds;
    return outcome;
}
