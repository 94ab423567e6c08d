FUZZ_TARGETS += tests/fuzz/service_fuzz
tests_fuzz_service_fuzz_SOURCES = tests/fuzz/service_fuzz.c $(FUZZ_MAIN)
tests_fuzz_service_fuzz_LDADD = libservice.a libwire.a libbase.a $(HTTP_PARSER_LIBS) \
	$(JANSSON_LIBS) $(CRYPTO_LIBS)
tests_fuzz_service_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
