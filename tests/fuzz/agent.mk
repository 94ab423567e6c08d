FUZZ_TARGETS += tests/fuzz/agent_fuzz
tests_fuzz_agent_fuzz_SOURCES = tests/fuzz/agent_fuzz.c tests/lib/fake_contexts.c \
	tests/lib/fake_contexts.h $(FUZZ_MAIN)
tests_fuzz_agent_fuzz_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_fuzz_agent_fuzz_LDADD = libagent.a libjupyter.a $(AGENT_LIBS)
tests_fuzz_agent_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TARGETS += tests/fuzz/files_fuzz
tests_fuzz_files_fuzz_SOURCES = tests/fuzz/files_fuzz.c $(FUZZ_MAIN)
tests_fuzz_files_fuzz_LDADD = libagent.a libjupyter.a $(AGENT_LIBS)
tests_fuzz_files_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
FUZZ_TARGETS += tests/fuzz/upload_head_fuzz
tests_fuzz_upload_head_fuzz_SOURCES = tests/fuzz/upload_head_fuzz.c $(FUZZ_MAIN)
tests_fuzz_upload_head_fuzz_LDADD = libagent.a libjupyter.a $(AGENT_LIBS)
tests_fuzz_upload_head_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
