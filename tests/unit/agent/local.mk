AGENT_TEST_LIBS = libagent.a libjupyter.a $(AGENT_LIBS)

check_PROGRAMS += tests/unit/agent/agent_test
TESTS += tests/unit/agent/agent_test
tests_unit_agent_agent_test_SOURCES = \
	guest-kernel-agent/system/no_tls.c \
	tests/unit/agent/agent_test.c \
	tests/unit/agent/agent_tests.h \
	tests/unit/agent/economy_test.c \
	tests/unit/agent/execution_test.c \
	tests/unit/agent/files_test.c \
	tests/unit/agent/identity_test.c \
	tests/unit/agent/journal_test.c \
	tests/unit/agent/limits_test.c \
	tests/unit/agent/machine_test.c \
	tests/unit/agent/ndjson_test.c \
	tests/unit/agent/process_test.c \
	tests/unit/agent/reaper_test.c \
	tests/unit/agent/watch_test.c \
	tests/unit/agent/signature_test.c \
	tests/lib/fake_contexts.c \
	tests/lib/fake_contexts.h \
	tests/lib/loopback.c \
	tests/lib/loopback.h \
	tests/lib/test.h \
	tests/lib/tmpdir.h
tests_unit_agent_agent_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_agent_agent_test_LDADD = $(AGENT_TEST_LIBS) $(CHECK_LIBS)
$(tests_unit_agent_agent_test_OBJECTS): $(PROTO_H)

# The streams of the agent below: caps, ranges, and a cut after every byte.
dist_check_SCRIPTS += tests/unit/agent/agent_streams_test.py
TESTS += tests/unit/agent/agent_streams_test.py

# The whole agent over fake contexts, driven through its sockets.
check_PROGRAMS += tests/unit/agent/agent_fake
tests_unit_agent_agent_fake_SOURCES = \
	guest-kernel-agent/main.c \
	guest-kernel-agent/system/no_tls.c \
	tests/lib/fake_contexts.c \
	tests/lib/fake_contexts.h
tests_unit_agent_agent_fake_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_agent_agent_fake_LDADD = $(AGENT_TEST_LIBS)
dist_check_SCRIPTS += tests/unit/agent/agent_process_test.py
TESTS += tests/unit/agent/agent_process_test.py
dist_check_SCRIPTS += tests/unit/agent/filesystem_process_test.py
TESTS += tests/unit/agent/filesystem_process_test.py
dist_check_SCRIPTS += tests/unit/agent/watch_streams_test.py
TESTS += tests/unit/agent/watch_streams_test.py
dist_check_SCRIPTS += tests/unit/agent/process_rpc_test.py
TESTS += tests/unit/agent/process_rpc_test.py
dist_check_SCRIPTS += tests/unit/agent/process_native_test.py
TESTS += tests/unit/agent/process_native_test.py
dist_check_SCRIPTS += tests/unit/agent/files_http_test.py
TESTS += tests/unit/agent/files_http_test.py
