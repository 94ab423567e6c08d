# Lint runs as part of "make check".
AM_TESTS_ENVIRONMENT = top_srcdir='$(top_srcdir)'; export top_srcdir; \
	top_builddir='$(top_builddir)'; export top_builddir; CC='$(CC)'; export CC;
LINT = \
	contrib/checks/layers \
	contrib/checks/shape \
	contrib/checks/headers \
	contrib/checks/format
TESTS += $(LINT)
EXTRA_DIST += $(LINT) contrib/checks/shape.allow contrib/docs/GUEST.md contrib/docs/HACKING.md contrib/docs/STREAMS.md \
	contrib/quickstart contrib/check contrib/serve contrib/packages contrib/build
lint: $(LINT)
	@for c in $(LINT); do top_srcdir='$(top_srcdir)' $(top_srcdir)/$$c || exit 1; done
.PHONY: lint

webdir = $(pkgdatadir)/web
dist_web_DATA = \
	contrib/web/app.css \
	contrib/web/app.js \
	contrib/web/frame.html \
	contrib/web/icon.svg \
	contrib/web/index.html \
	contrib/web/rpc.js

dist_man_MANS += contrib/docs/sandglass.1 contrib/docs/sandglass-template.5 contrib/docs/sandglass.yaml.5 \
	contrib/docs/sandglassd.8
# Where systemd looks, for the usual prefixes.
systemunitdir = $(prefix)/lib/systemd/system
nodist_systemunit_DATA = contrib/systemd/sandglassd.service
CLEANFILES += $(nodist_systemunit_DATA)
contrib/systemd/sandglassd.service: contrib/systemd/sandglassd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	$(SED) 's|[@]sbindir[@]|$(sbindir)|' $(srcdir)/contrib/systemd/sandglassd.service.in >$@.tmp && mv $@.tmp $@
EXTRA_DIST += contrib/systemd/sandglassd.service.in
