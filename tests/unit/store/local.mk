check_PROGRAMS += tests/unit/store/store_test
TESTS += tests/unit/store/store_test
tests_unit_store_store_test_SOURCES = \
	tests/unit/store/store_test.c \
	tests/lib/tmpdir.h \
	tests/lib/test.h
tests_unit_store_store_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_store_store_test_LDADD = libstore.a libloop.a libbase.a $(SQLITE_LIBS) $(EVENT_LIBS) \
	$(JANSSON_LIBS) $(CRYPTO_LIBS) $(CHECK_LIBS)
