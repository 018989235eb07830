/* forward.h - the forwarder: takes packets at two ports, passes them through two queues, and
 * counts. One thread, which does what its control socket says until that is closed. */
#ifndef XFER_LINK_FORWARD_H
#define XFER_LINK_FORWARD_H

#include "link/link.h"
#include "link/port.h"

/* What the control socket carries: BEGIN and END have an answer, HURRY, which shortens an END that
 * was not answered yet, has none. */
enum forward_verb { FORWARD_BEGIN, FORWARD_END, FORWARD_HURRY };

struct forward_command {
    enum forward_verb verb;
    uint64_t seed;
};

struct forward_answer {
    int err;
    struct link_stats stats; /* of FORWARD_END */
};

/* Memory that the caller of the link sees, too: the forwarder writes it during a run. */
struct forward_records {
    size_t n;
    uint64_t missed;
    struct link_record r[];
};

struct forwarder;

/* ports: by enum link_side of the end that each faces; records: room for s->records, or NULL. All
 * of it outlives the forwarder. 0 or -ENOMEM. */
int forward_new(struct forwarder **ret, int control, struct port ports[2],
                const struct link_settings *s, struct forward_records *records);

/* Runs until the control socket is closed, and ends the process. */
__attribute__((noreturn)) void forward_run(struct forwarder *f);

#endif
