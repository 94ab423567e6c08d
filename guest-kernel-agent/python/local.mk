# guest-kernel-agent/python: what runs inside the guest's Python, carried in the agent as C arrays.
GUEST_PYTHON_FILES = \
	guest-kernel-agent/python/sandglass_along.py \
	guest-kernel-agent/python/sandglass_bash.py \
	guest-kernel-agent/python/sandglass_kernel.py \
	guest-kernel-agent/python/sandglass_output.py \
	guest-kernel-agent/python/sandglass_startup.py

EXTRA_DIST += $(GUEST_PYTHON_FILES)
BUILT_SOURCES += guest-kernel-agent/python/files.h
CLEANFILES += guest-kernel-agent/python/files.h

# static const struct python_file python_files[]: name, bytes, length
guest-kernel-agent/python/files.h: $(GUEST_PYTHON_FILES)
	@$(MKDIR_P) guest-kernel-agent/python
	$(AM_V_GEN)(n=0; for f in $^; do n=$$((n + 1)); \
	        echo "static const unsigned char python_file_$$n[] = {"; \
	        od -An -v -tu1 -w20 "$$f" | $(SED) 's/ *\([0-9][0-9]*\)/\1,/g'; echo '};'; done; \
	    echo 'static const struct python_file python_files[] = {'; \
	    n=0; for f in $^; do n=$$((n + 1)); \
	        echo "{ \"$$(basename $$f)\", python_file_$$n, sizeof(python_file_$$n) },"; done; \
	    echo '};') > $@.tmp && mv $@.tmp $@
guest-kernel-agent/python/install.$(OBJEXT): guest-kernel-agent/python/files.h
