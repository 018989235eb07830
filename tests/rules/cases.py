"""Each case of TFTP, 1 to 99, has an end-to-end test that bears its number."""

import re

from rule import SRC, catches, done, holds

CASES = range(1, 100)
# test_01_missing_file, test_45_46_strangers, test_21_to_23_block_sizes
NUMBERS = re.compile(r"def test_(\d\d(?:_to_\d\d|(?:_\d\d)*))_")


def numbers(texts):
    found = set()
    for group in NUMBERS.findall("\n".join(texts)):
        first, *more = map(int, re.findall(r"\d+", group))
        found |= set(range(first, more[0] + 1)) if "_to_" in group else {first, *more}
    return found


def missing(texts):
    return [f"case {n} has no test" for n in sorted(set(CASES) - numbers(texts))]


TESTS = [path.read_text(encoding="utf-8")
         for path in sorted((SRC / "tests/e2e").glob("test_udp_*.py"))]
holds("each case of TFTP has its test", missing(TESTS))
catches("a case without a test", missing([text.replace("test_77_", "test_") for text in TESTS]))
catches("a range without a test", missing([text.replace("_21_to_23_", "_22_") for text in TESTS]))
done()
