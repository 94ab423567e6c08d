# Two programs of real kernels, so that they can run at the same time; the third needs none.
check_PROGRAMS += tests/unit/jupyter/context_test tests/unit/jupyter/kernel_test \
	tests/unit/jupyter/jupyter_test
TESTS += tests/unit/jupyter/context_test tests/unit/jupyter/kernel_test \
	tests/unit/jupyter/jupyter_test
JUPYTER_TEST_SUPPORT = tests/unit/jupyter/kernels.c tests/unit/jupyter/kernels.h \
	tests/lib/test.h tests/lib/tmpdir.h
JUPYTER_TEST_LIBS = libjupyter.a libloop.a libbase.a $(EVENT_LIBS) $(CRYPTO_LIBS) \
	$(JANSSON_LIBS) $(CHECK_LIBS)

tests_unit_jupyter_context_test_SOURCES = \
	tests/unit/jupyter/basic_test.c \
	tests/unit/jupyter/context_test.c \
	tests/unit/jupyter/display_test.c \
	$(JUPYTER_TEST_SUPPORT)
tests_unit_jupyter_context_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_jupyter_context_test_LDADD = $(JUPYTER_TEST_LIBS)

tests_unit_jupyter_kernel_test_SOURCES = \
	tests/unit/jupyter/end_test.c \
	tests/unit/jupyter/kernel_test.c \
	tests/unit/jupyter/language_test.c \
	tests/unit/jupyter/volume_test.c \
	$(JUPYTER_TEST_SUPPORT)
tests_unit_jupyter_kernel_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_jupyter_kernel_test_LDADD = $(JUPYTER_TEST_LIBS)

tests_unit_jupyter_jupyter_test_SOURCES = \
	tests/unit/jupyter/channel_test.c \
	tests/unit/jupyter/jupyter_test.c \
	tests/unit/jupyter/jupyter_tests.h \
	tests/unit/jupyter/message_test.c \
	tests/unit/jupyter/spec_test.c \
	tests/unit/jupyter/text_test.c \
	tests/unit/jupyter/users_test.c \
	tests/unit/jupyter/zmtp_test.c \
	tests/lib/test.h
tests_unit_jupyter_jupyter_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_jupyter_jupyter_test_LDADD = $(JUPYTER_TEST_LIBS)
