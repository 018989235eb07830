#include "config.h"

#include "cli/transfer.h"

static int sort_operands(const struct cmd *self, const struct operands *ops,
                         struct transfer_job *job)
{
    int status = 0;

    *job = (struct transfer_job){.sources = ops->items, .n = ops->n};
    if (ops->n == 0)
        return cmd_wrong(self, "needs a remote such as nas:/file");
    for (size_t i = 0; i < ops->n; i++) {
        bool may_be_dest = i > 0 && i == ops->n - 1;
        bool tftp;
        int remote = client_is_remote(self, ops->items[i], &tftp, &status);

        job->tftp |= tftp;
        if (remote < 0)
            return status;
        if (remote == 1)
            continue;
        if (!may_be_dest)
            return cmd_wrong(self, "only the last name can be local; remotes look like nas:/file");
        job->dest = ops->items[i];
        job->n = i;
    }
    return -1;
}

static int run(const struct cmd *self, int argc, char **argv)
{
    return transfer_main(self, argc, argv, sort_operands);
}

const struct cmd cmd_get = {.name = "get",
                            .operands = "REMOTE... [DEST]",
                            .summary = "Fetch files to DEST (default: here; -: standard output)",
                            .tables = transfer_tables,
                            .run = run};
