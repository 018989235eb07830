/* vendor.h - files under vendor/ as strings, made by the build (build-aux/embed). */
#ifndef XFER_COMPARE_VENDOR_H
#define XFER_COMPARE_VENDOR_H

extern const char vendor_uplot_0[]; /* script */
extern const char vendor_uplot_1[]; /* style sheet */
extern const char vendor_uplot_2[]; /* licence */

#endif
