# One program a parser, tests/fuzz/NAME_fuzz.c, with its inputs in tests/fuzz/corpus/NAME. A fragment adds
# its programs to FUZZ_TARGETS, ends their sources in $(FUZZ_MAIN) and links with $(FUZZ_LDFLAGS). With
# --enable-fuzz they are libFuzzer programs, else they only replay what they are given.
FUZZ_TARGETS =
if FUZZ
FUZZ_MAIN =
else
FUZZ_MAIN = tests/fuzz/replay_main.c
endif
include tests/fuzz/wire.mk
include tests/fuzz/rpc.mk
include tests/fuzz/image.mk
include tests/fuzz/jupyter.mk
include tests/fuzz/service.mk
include tests/fuzz/daemon.mk
include tests/fuzz/agent.mk
include tests/fuzz/vmm.mk
EXTRA_PROGRAMS += $(FUZZ_TARGETS)
CLEANFILES += $(FUZZ_TARGETS)
EXTRA_DIST += tests/fuzz/corpus

fuzz-check: $(BUILT_SOURCES) $(TEST_PROTO_H)
	@$(MAKE) $(AM_MAKEFLAGS) $(FUZZ_TARGETS)
	@for t in $(FUZZ_TARGETS); do \
		name=$$(basename $$t _fuzz); \
		./$$t -runs=0 $(srcdir)/tests/fuzz/corpus/$$name || exit 1; \
	done
.PHONY: fuzz-check
