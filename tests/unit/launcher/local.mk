check_PROGRAMS += tests/unit/launcher/launcher_test
TESTS += tests/unit/launcher/launcher_test
tests_unit_launcher_launcher_test_SOURCES = \
	tests/unit/launcher/client_test.c \
	tests/unit/launcher/launcher_test.c \
	tests/unit/launcher/launcher_tests.h \
	tests/unit/launcher/proto_test.c \
	tests/unit/launcher/record_test.c
tests_unit_launcher_launcher_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_launcher_launcher_test_LDADD = liblauncher.a libjail.a libloop.a libbase.a \
	$(SECCOMP_LIBS) $(EVENT_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS) $(CHECK_LIBS)
