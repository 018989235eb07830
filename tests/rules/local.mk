# What the house promises about its own source and program. Each rule is first shown a planted fault.

rule_tests = \
	tests/rules/cases.py \
	tests/rules/docs.py \
	tests/rules/exports.py \
	tests/rules/hardening.py \
	tests/rules/harness.py \
	tests/rules/layers.py \
	tests/rules/leftovers.py \
	tests/rules/purity.py

if HAVE_PYTHON3
TESTS += $(rule_tests)
endif
EXTRA_DIST += $(rule_tests) tests/rules/rule.py
