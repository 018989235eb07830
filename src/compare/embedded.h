/* embedded.h - files as strings, made by the build (build-aux/embed). */
#ifndef XFER_COMPARE_EMBEDDED_H
#define XFER_COMPARE_EMBEDDED_H

extern const char vendor_uplot_0[]; /* script */
extern const char vendor_uplot_1[]; /* style sheet */
extern const char vendor_uplot_2[]; /* licence */

extern const char page_0[]; /* style sheet of a report */
extern const char page_1[]; /* its script */

#endif
